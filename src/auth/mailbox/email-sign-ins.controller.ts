import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../../platform/common/public.decorator.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { type CookieSessionDto, TokenPairDto } from '../auth.dto.js';
import type { Client } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentClient } from '../request.decorators.js';
import { EmailSignInsService } from './email-sign-ins.service.js';
import { readMailboxProof } from './mailbox-proof.js';
import { EmailDto, MailboxProofDto, MailTicketDto, toMailTicketDto } from './mailbox.dto.js';

@ApiTags('mail')
@Controller('auth')
@Public()
export class EmailSignInsController {
  constructor(
    private readonly signIns: EmailSignInsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('email-code')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Mail a code and a link that sign in',
    description: 'The answer and its time are the same whether or not an account has the address.',
  })
  @ApiAcceptedResponse({ type: MailTicketDto, description: 'If an active account has the address, it gets a mail.' })
  @ApiProblems('validation_failed', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async requestSignInCode(@Body() { email }: EmailDto, @CurrentClient() client: Client): Promise<MailTicketDto> {
    return toMailTicketDto(await this.signIns.request(email, client));
  }

  @Post('login/email-code')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Sign in by a mail: a new session and its first token pair',
    description:
      'By `ticket` and the `code` of the mail, or by the `token` of its link. The first proof of a mailbox ends all sessions of ' +
      'its account and removes the password.',
  })
  @ApiOkResponse({ type: TokenPairDto, description: 'The first pair of a new session.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'code_invalid',
    'second_factor_required',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async signInWithCode(
    @Body() proof: MailboxProofDto,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    return this.cookies.answer(reply, await this.signIns.signIn(readMailboxProof(proof), client));
  }
}
