import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiNoContentResponse,
  ApiOperation,
  ApiSecurity,
  ApiTags,
} from '@nestjs/swagger';
import { Public } from '../../platform/common/public.decorator.js';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { OptionalAccessToken } from '../access-tokens/access-policy.decorator.js';
import { RequireRecentAuthentication } from '../access-tokens/recent-authentication.guard.js';
import { BEARER_PROBLEMS } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { CurrentClient, CurrentIdentity } from '../request.decorators.js';
import { EmailChangesService } from './email-changes.service.js';
import { readMailboxProof } from './mailbox-proof.js';
import { EmailChangeDto, MailboxProofDto, MailTicketDto, toMailTicketDto, UndoDto } from './mailbox.dto.js';

@ApiTags('mail')
@Controller('auth/email')
export class EmailChangesController {
  constructor(private readonly changes: EmailChangesService) {}

  @Post()
  @HttpCode(202)
  @RequireRecentAuthentication()
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Ask for a change of the address',
    description:
      'The new address gets a code and a link that confirm the change, the old one a link that undoes it for 72 hours. Asks ' +
      'for a sign-in of the last 300 seconds. The answer is the same whether or not an account has the new address.',
  })
  @ApiAcceptedResponse({ type: MailTicketDto, description: 'The address changes once the change is confirmed.' })
  @ApiProblems(
    'validation_failed',
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async requestEmailChange(
    @Body() { new_email }: EmailChangeDto,
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
  ): Promise<MailTicketDto> {
    return toMailTicketDto(await this.changes.request(identity, new_email, client));
  }

  @Post('confirm')
  @OptionalAccessToken()
  @HttpCode(204)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiSecurity({})
  @ApiOperation({
    summary: 'Confirm a change of the address',
    description:
      'By `ticket` and the `code` of the mail, or by the `token` of its link and an access token of the account. Ends all ' +
      'sessions except the one that asked for the change.',
  })
  @ApiNoContentResponse({ description: 'The account has the new address, which counts as proven.' })
  @ApiProblems(
    'validation_failed',
    'ticket_invalid',
    'code_invalid',
    ...BEARER_PROBLEMS,
    'email_taken',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async confirmEmailChange(
    @Body() proof: MailboxProofDto,
    @CurrentClient() client: Client,
    @CurrentIdentity() identity?: Identity,
  ): Promise<void> {
    await this.changes.confirm(readMailboxProof(proof), identity, client);
  }

  @Post('undo')
  @Public()
  @HttpCode(204)
  @ApiOperation({
    summary: 'Undo a change of the address with the link that the old one got',
    description:
      'The old address returns, unless another account has it by now. All sessions end, and the password is removed: the old ' +
      'address gets a link that sets a new one.',
  })
  @ApiNoContentResponse({ description: 'The change is undone, whether or not it was confirmed.' })
  @ApiProblems('validation_failed', 'ticket_invalid', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async undoEmailChange(@Body() { token }: UndoDto, @CurrentClient() client: Client): Promise<void> {
    await this.changes.undo(token, client);
  }
}
