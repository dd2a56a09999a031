import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiAcceptedResponse, ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Public } from '../../platform/common/public.decorator.js';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import type { Client } from '../auth.types.js';
import { CurrentClient } from '../request.decorators.js';
import { EmailDto, EmptyDto, PasswordResetDto } from './mailbox.dto.js';
import { PasswordResetsService } from './password-resets.service.js';

@ApiTags('mail')
@Controller('auth/password')
@Public()
export class PasswordResetsController {
  constructor(private readonly resets: PasswordResetsService) {}

  @Post('forgot')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Mail a link that sets a new password',
    description: 'The answer and its time are the same whether or not an account has the address.',
  })
  @ApiAcceptedResponse({ type: EmptyDto, description: 'If an active account has the address, it gets a mail.' })
  @ApiProblems('validation_failed', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async requestPasswordReset(@Body() { email }: EmailDto, @CurrentClient() client: Client): Promise<EmptyDto> {
    await this.resets.request(email, client);
    return {};
  }

  @Post('reset')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Set a new password with the link of a mail',
    description:
      'Ends every session of the user and opens none. Call it when the user submits the new password, never when the page of ' +
      'the link is opened: scanners open links.',
  })
  @ApiNoContentResponse({ description: 'Only the new password signs in from now on.' })
  @ApiProblems('validation_failed', 'ticket_invalid', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async resetPassword(
    @Body() { token, new_password }: PasswordResetDto,
    @CurrentClient() client: Client,
  ): Promise<void> {
    await this.resets.reset(token, new_password, client);
  }
}
