import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiNoContentResponse,
  ApiOperation,
  ApiSecurity,
  ApiTags,
} from '@nestjs/swagger';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { OptionalAccessToken } from '../access-tokens/access-policy.decorator.js';
import { BEARER_PROBLEMS } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { CurrentClient, CurrentIdentity } from '../request.decorators.js';
import { EmailVerificationsService } from './email-verifications.service.js';
import { readMailboxProof } from './mailbox-proof.js';
import { MailboxProofDto, MailTicketDto, toMailTicketDto } from './mailbox.dto.js';

@ApiTags('mail')
@Controller('auth/email')
export class EmailVerificationsController {
  constructor(private readonly verifications: EmailVerificationsService) {}

  @Post('verification')
  @HttpCode(202)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Mail a code and a link that prove the address of the account',
    description: 'For accounts that were made without a proof.',
  })
  @ApiAcceptedResponse({ type: MailTicketDto, description: 'The address of the account gets a mail.' })
  @ApiProblems(
    ...BEARER_PROBLEMS,
    'account_disabled',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async requestEmailVerification(
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
  ): Promise<MailTicketDto> {
    return toMailTicketDto(await this.verifications.request(identity, client));
  }

  @Post('verify')
  @OptionalAccessToken()
  @HttpCode(204)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiSecurity({})
  @ApiOperation({
    summary: 'Prove the address of the account',
    description:
      'By `ticket` and the `code` of the mail, or by the `token` of its link and an access token of the account.',
  })
  @ApiNoContentResponse({ description: 'The address is proven.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'code_invalid',
    ...BEARER_PROBLEMS,
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async verifyEmail(
    @Body() proof: MailboxProofDto,
    @CurrentClient() client: Client,
    @CurrentIdentity() identity?: Identity,
  ): Promise<void> {
    await this.verifications.verify(readMailboxProof(proof), identity, client);
  }
}
