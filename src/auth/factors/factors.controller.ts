import { Body, Controller, Delete, Get, HttpCode, Post, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { PasskeyRecordsService } from '../../factors/passkey-records.service.js';
import { RecoveryCodesService } from '../../factors/recovery-codes.service.js';
import { TotpFactorsService } from '../../factors/totp-factors.service.js';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { BEARER_PROBLEMS } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { CurrentClient, CurrentIdentity } from '../request.decorators.js';
import {
  FactorsDto,
  RecoveryCodesDto,
  toPasskeyDto,
  toTotpEnrolmentDto,
  toTotpFactorDto,
  TotpCodeDto,
  TotpEnrolmentDto,
} from './factors.dto.js';
import { RecoveryCodeSetsService } from './recovery-code-sets.service.js';
import { TotpEnrolmentsService } from './totp-enrolments.service.js';

@ApiTags('factors')
@ApiBearerAuth(ACCESS_TOKEN_SCHEME)
@Controller('auth')
export class FactorsController {
  constructor(
    private readonly enrolments: TotpEnrolmentsService,
    private readonly codeSets: RecoveryCodeSetsService,
    private readonly totpFactors: TotpFactorsService,
    private readonly passkeys: PasskeyRecordsService,
    private readonly recoveryCodes: RecoveryCodesService,
  ) {}

  @Get('factors')
  @ApiOperation({
    summary: 'List the second factors of the user',
    description: 'A secret that is not confirmed is no factor, and not listed.',
  })
  @ApiOkResponse({
    type: FactorsDto,
    description: 'The authenticator app, the passkeys, and how many recovery codes are left.',
  })
  @ApiProblems(...BEARER_PROBLEMS, 'temporarily_unavailable')
  async listFactors(@CurrentIdentity() { userId }: Identity): Promise<FactorsDto> {
    const [totp, passkeys, left] = await Promise.all([
      this.totpFactors.describe(userId),
      this.passkeys.list(userId),
      this.recoveryCodes.countLeft(userId),
    ]);
    return {
      totp: totp === undefined ? null : toTotpFactorDto(totp),
      passkeys: passkeys.map(toPasskeyDto),
      recovery_codes_left: left,
    };
  }

  @Post('totp')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Make a secret for an authenticator app',
    description:
      'It is no factor until its first code is sent to `/auth/totp/confirm`, within 600 seconds. An app that the user has ' +
      'stays until then. Asks for a sign-in of the last 300 seconds, and of a user who has a second factor for `acr` `aal2`.',
  })
  @ApiOkResponse({ type: TotpEnrolmentDto, description: 'A secret in place of one that was not confirmed.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async beginTotp(@CurrentIdentity() identity: Identity): Promise<TotpEnrolmentDto> {
    return toTotpEnrolmentDto(await this.enrolments.begin(identity));
  }

  @Post('totp/confirm')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Make the secret a factor by the first code of the app',
    description:
      'Replaces the app that the user had, and raises the session to `aal2`. With the first factor of the user, all other ' +
      'sessions end, and the answer has recovery codes.',
  })
  @ApiOkResponse({ type: RecoveryCodesDto, description: 'The first factor of the user.' })
  @ApiNoContentResponse({ description: 'A further factor, or another app; the recovery codes stay.' })
  @ApiProblems(
    'validation_failed',
    ...BEARER_PROBLEMS,
    'second_factor_invalid',
    'insufficient_user_authentication',
    'account_disabled',
    'not_found',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async confirmTotp(
    @Body() { totp }: TotpCodeDto,
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<RecoveryCodesDto | undefined> {
    const { recoveryCodes } = await this.enrolments.confirm(identity, totp, client);
    if (recoveryCodes === undefined) {
      reply.status(204);
      return undefined;
    }
    return { recovery_codes: recoveryCodes };
  }

  @Delete('totp')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Remove the authenticator app',
    description:
      'Asks for a sign-in of the last 300 seconds with `acr` `aal2`. The recovery codes go with the last factor of the user.',
  })
  @ApiNoContentResponse({ description: 'The app is removed.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'not_found',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async removeTotp(@CurrentIdentity() identity: Identity): Promise<void> {
    await this.enrolments.remove(identity);
  }

  @Post('recovery-codes')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Replace the recovery codes',
    description:
      'Those that the user had are worthless from then on. Asks for a sign-in of the last 300 seconds with `acr` `aal2`.',
  })
  @ApiOkResponse({ type: RecoveryCodesDto, description: 'Ten new codes.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'not_found',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async renewRecoveryCodes(@CurrentIdentity() identity: Identity): Promise<RecoveryCodesDto> {
    return { recovery_codes: await this.codeSets.renew(identity) };
  }
}
