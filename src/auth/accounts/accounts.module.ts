import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { KeysModule } from '../../keys/keys.module.js';
import { LimitsModule } from '../../limits/limits.module.js';
import { TokensModule } from '../../tokens/tokens.module.js';
import { UsersModule } from '../../users/users.module.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import { AccountsService } from './accounts.service.js';

/** Changes accounts and sessions, for the routes of `AuthModule` and for commands, which load no route. */
@Module({
  imports: [JwtModule.register({}), KeysModule, LimitsModule, TokensModule, UsersModule],
  providers: [AccessTokenIssuer, AccountsService, SessionsService, SignInsService, UserTurnsService],
  exports: [AccountsService, SessionsService, SignInsService],
})
export class AccountsModule {}
