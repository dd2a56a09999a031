import { Module } from '@nestjs/common';
import { LimitsModule } from '../limits/limits.module.js';
import { CommonPasswordsService } from './common-passwords.service.js';
import { PasswordHasherService } from './password-hasher.service.js';
import { UsersRepository } from './users.repository.js';
import { UsersService } from './users.service.js';

/** Keeps accounts and verifies passwords. Other modules decide what a correct password permits. */
@Module({
  imports: [LimitsModule],
  providers: [UsersService, UsersRepository, PasswordHasherService, CommonPasswordsService],
  exports: [PasswordHasherService, UsersService],
})
export class UsersModule {}
