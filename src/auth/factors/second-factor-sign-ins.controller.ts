import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../../platform/common/public.decorator.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { type CookieSessionDto, TokenPairDto } from '../auth.dto.js';
import type { Client } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentClient } from '../request.decorators.js';
import { readFactorProof, SecondStepDto } from './factor-proof.dto.js';
import { SecondFactorSignInsService } from './second-factor-sign-ins.service.js';

@ApiTags('factors')
@Controller('auth/login')
@Public()
export class SecondFactorSignInsController {
  constructor(
    private readonly signIns: SecondFactorSignInsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('second-factor')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Prove a second factor: the second step of a sign-in',
    description:
      'By the `ticket` of the problem `second_factor_required` and exactly one of `totp`, `recovery_code` and `passkey`.',
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
  async proveSecondFactor(
    @Body() { ticket, ...proof }: SecondStepDto,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    return this.cookies.answer(reply, await this.signIns.complete(ticket, readFactorProof(proof), client));
  }
}
