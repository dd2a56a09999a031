import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { AccessTokenDto } from '../auth.dto.js';
import { BEARER_PROBLEMS } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentClient, CurrentIdentity } from '../request.decorators.js';
import { readStepUpProof, StepUpDto } from './step-ups.dto.js';
import { StepUpsService } from './step-ups.service.js';

@ApiTags('factors')
@Controller('auth')
export class StepUpsController {
  constructor(
    private readonly stepUps: StepUpsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('step-up')
  @HttpCode(200)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Prove more, or again, in the session of the access token',
    description:
      'By exactly one of `password`, `totp`, `recovery_code` and `passkey`. The answer to the challenge of RFC 9470. The ' +
      'refresh token stays as it is; its next exchanges carry what was proved.',
  })
  @ApiOkResponse({
    type: AccessTokenDto,
    description: 'An access token that says what was proved, and that it was now.',
  })
  @ApiProblems(
    'validation_failed',
    ...BEARER_PROBLEMS,
    'invalid_credentials',
    'second_factor_invalid',
    'second_factor_required',
    'ticket_invalid',
    'account_disabled',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async stepUp(
    @Body() body: StepUpDto,
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AccessTokenDto> {
    return this.cookies.answerAccess(reply, await this.stepUps.stepUp(identity, readStepUpProof(body), client));
  }
}
