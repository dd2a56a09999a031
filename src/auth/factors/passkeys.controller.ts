import { Body, Controller, Delete, HttpCode, Param, Patch, Post, Res } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiSecurity,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import { Public } from '../../platform/common/public.decorator.js';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { OptionalAccessToken } from '../access-tokens/access-policy.decorator.js';
import { type CookieSessionDto, TokenPairDto } from '../auth.dto.js';
import { AccessTokenMissingError, BEARER_PROBLEMS } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentClient, CurrentIdentity } from '../request.decorators.js';
import { PasskeyDto, toPasskeyDto } from './factors.dto.js';
import { PasskeyEnrolmentsService } from './passkey-enrolments.service.js';
import { PasskeySignInsService } from './passkey-sign-ins.service.js';
import {
  EnrolledPasskeyDto,
  PasskeyCreationOptionsDto,
  PasskeyNameDto,
  PasskeyOptionsRequestDto,
  PasskeyRegistrationDto,
  PasskeyRequestOptionsDto,
  PasskeySignInDto,
  toCeremonyDto,
  toEnrolledPasskeyDto,
} from './passkeys.dto.js';

const PASSKEY_ID = { name: 'id', example: 'vUVDkOQ6pfC2TGcD2Bz6A1sRSJhLCyo2HJvOYyDzpqo' };

@ApiTags('factors')
@Controller('auth')
export class PasskeysController {
  constructor(
    private readonly enrolments: PasskeyEnrolmentsService,
    private readonly signIns: PasskeySignInsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('passkeys/options')
  @OptionalAccessToken()
  @HttpCode(200)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiSecurity({})
  @ApiOperation({
    summary: 'Ask for the use of a passkey',
    description:
      'Without a member for a sign-in by any passkey, also in the suggestions of an input field; with `ticket` for the second ' +
      'step of a sign-in; with `step_up` and an access token for a step-up.',
  })
  @ApiOkResponse({ type: PasskeyRequestOptionsDto, description: 'What the browser is asked.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    ...BEARER_PROBLEMS,
    'account_disabled',
    'not_found',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  @ApiBody({ type: PasskeyOptionsRequestDto, required: false })
  async requestPasskeyOptions(
    @Body() { ticket, step_up: isForStepUp }: PasskeyOptionsRequestDto,
    @CurrentClient() client: Client,
    @CurrentIdentity() identity?: Identity,
  ): Promise<PasskeyRequestOptionsDto> {
    if (ticket !== undefined && isForStepUp !== undefined) {
      throw new ValidationFailedError([{ field: 'ticket', message: 'must not be sent with step_up' }]);
    }
    if (ticket !== undefined) {
      return toCeremonyDto(await this.signIns.beginSecondFactor(ticket, client));
    }
    if (isForStepUp === undefined) {
      return toCeremonyDto(await this.signIns.begin(client));
    }
    if (identity === undefined) {
      throw new AccessTokenMissingError('a step-up is of a session');
    }
    return toCeremonyDto(await this.signIns.beginStepUp(identity));
  }

  @Post('login/passkey')
  @Public()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Sign in with a passkey: a new session and its first token pair',
    description: 'The passkey has to have asked for a PIN or a biometric: it is two factors in one.',
  })
  @ApiOkResponse({ type: TokenPairDto, description: 'The first pair of a new session.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'second_factor_invalid',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async signInWithPasskey(
    @Body() { ticket, credential }: PasskeySignInDto,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    return this.cookies.answer(reply, await this.signIns.signIn(ticket, credential, client));
  }

  @Post('passkeys/registration')
  @HttpCode(200)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Ask for the registration of a passkey',
    description: 'Asks for a sign-in of the last 300 seconds, and of a user who has a second factor for `acr` `aal2`.',
  })
  @ApiOkResponse({ type: PasskeyCreationOptionsDto, description: 'What the browser is asked.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'too_many_passkeys',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async beginPasskeyRegistration(@CurrentIdentity() identity: Identity): Promise<PasskeyCreationOptionsDto> {
    return toCeremonyDto(await this.enrolments.begin(identity));
  }

  @Post('passkeys')
  @HttpCode(201)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Register a passkey',
    description:
      'Raises the session by what the passkey has proved. With the first factor of the user, all other sessions end, and the ' +
      'answer has recovery codes.',
  })
  @ApiCreatedResponse({ type: EnrolledPasskeyDto, description: 'The passkey signs in from now on.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'second_factor_invalid',
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'too_many_passkeys',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async registerPasskey(
    @Body() registration: PasskeyRegistrationDto,
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
  ): Promise<EnrolledPasskeyDto> {
    return toEnrolledPasskeyDto(await this.enrolments.complete(identity, registration, client));
  }

  @Patch('passkeys/:id')
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({ summary: 'Rename a passkey', description: 'The name is for its user only.' })
  @ApiParam(PASSKEY_ID)
  @ApiOkResponse({ type: PasskeyDto, description: 'The passkey under its new name.' })
  @ApiProblems('validation_failed', ...BEARER_PROBLEMS, 'not_found', 'temporarily_unavailable', 'outcome_unknown')
  async renamePasskey(
    @Param('id') id: string,
    @Body() { name }: PasskeyNameDto,
    @CurrentIdentity() identity: Identity,
  ): Promise<PasskeyDto> {
    return toPasskeyDto(await this.enrolments.rename(identity, id, name));
  }

  @Delete('passkeys/:id')
  @HttpCode(204)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Remove a passkey',
    description:
      'Asks for a sign-in of the last 300 seconds with `acr` `aal2`. The recovery codes go with the last factor of the user.',
  })
  @ApiParam(PASSKEY_ID)
  @ApiNoContentResponse({ description: 'The passkey is removed.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'not_found',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async removePasskey(@Param('id') id: string, @CurrentIdentity() identity: Identity): Promise<void> {
    await this.enrolments.remove(identity, id);
  }
}
