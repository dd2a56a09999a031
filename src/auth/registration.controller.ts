import { Body, Controller, Headers, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { OutboxService } from '../mail/outbox.service.js';
import { Public } from '../platform/common/public.decorator.js';
import { ApiProblems } from '../platform/http/problems/api-problems.js';
import { UsersService } from '../users/users.service.js';
import { RegistrationDto, toUserDto, UserDto } from './auth.dto.js';
import type { Client } from './auth.types.js';
import { CurrentClient } from './request.decorators.js';

/** Registers without a proof of the address; `ProvenRegistrationsController` takes its place with `EMAIL_VERIFICATION=required`. */
@ApiTags('auth')
@Controller('auth')
export class RegistrationController {
  constructor(
    private readonly users: UsersService,
    private readonly outbox: OutboxService,
  ) {}

  @Post('register')
  @Public()
  @ApiOperation({
    summary: 'Create an account',
    description: 'The address is brought into its canonical form. The account has no roles and no session.',
  })
  @ApiCreatedResponse({ type: UserDto, description: 'The new account.' })
  @ApiProblems('validation_failed', 'email_taken', 'too_many_attempts', 'temporarily_unavailable', 'outcome_unknown')
  async register(
    @Body() { email, password }: RegistrationDto,
    @CurrentClient() client: Client,
    @Headers('accept-language') acceptLanguage: string | undefined,
  ): Promise<UserDto> {
    const locale = this.outbox.localeFor(acceptLanguage);
    return toUserDto(await this.users.register({ email, password, locale, applicant: client }));
  }
}
