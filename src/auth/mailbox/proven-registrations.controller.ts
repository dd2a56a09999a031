import { Body, Controller, Headers, HttpCode, Post, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import { Public } from '../../platform/common/public.decorator.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { type CookieSessionDto, RegistrationDto, TokenPairDto } from '../auth.dto.js';
import type { Client } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentClient } from '../request.decorators.js';
import { readMailboxProof } from './mailbox-proof.js';
import { MailTicketDto, RegistrationProofDto, toMailTicketDto } from './mailbox.dto.js';
import { ProvenRegistrationsService } from './proven-registrations.service.js';

/** Registers with a proof of the address; takes the place of `RegistrationController`. */
@ApiTags('auth')
@Controller('auth/register')
@Public()
export class ProvenRegistrationsController {
  constructor(
    private readonly registrations: ProvenRegistrationsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Ask for an account, which exists once its mailbox is proven',
    description: 'The answer and its time are the same whether or not an account has the address.',
  })
  @ApiAcceptedResponse({ type: MailTicketDto, description: 'The address gets a mail.' })
  @ApiProblems('validation_failed', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async register(
    @Body() { email, password }: RegistrationDto,
    @CurrentClient() client: Client,
    @Headers('accept-language') acceptLanguage: string | undefined,
  ): Promise<MailTicketDto> {
    return toMailTicketDto(await this.registrations.begin(email, password, client, acceptLanguage));
  }

  @Post('complete')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Prove the mailbox: the account and its first session',
    description:
      'By `ticket` and the `code` of the mail, or by the `token` of its link and a `password`, which replaces the one that was ' +
      'registered.',
  })
  @ApiOkResponse({ type: TokenPairDto, description: 'The first pair of the first session.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'code_invalid',
    'email_taken',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async completeRegistration(
    @Body() { password, ...proof }: RegistrationProofDto,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    const mailbox = readMailboxProof(proof);
    if ((mailbox.kind === 'link') !== (password !== undefined)) {
      const message = mailbox.kind === 'link' ? 'must be a string' : 'must be sent with a token only';
      throw new ValidationFailedError([{ field: 'password', message }]);
    }
    return this.cookies.answer(reply, await this.registrations.complete(mailbox, password ?? '', client));
  }
}
