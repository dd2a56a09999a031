import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { JwtModule } from '@nestjs/jwt';
import { AuthModuleOptions } from '@nestjs/passport';
import { KeysModule } from '../keys/keys.module.js';
import { LimitsModule } from '../limits/limits.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';
import { AccessTokenGuard } from './access-tokens/access-token.guard.js';
import { AccessTokenIssuer } from './access-tokens/access-token.issuer.js';
import { AccessTokenStrategy } from './access-tokens/access-token.strategy.js';
import { AccessTokensService } from './access-tokens/access-tokens.service.js';
import { AccountsService } from './accounts/accounts.service.js';
import { AuthController } from './auth.controller.js';
import { RolesGuard } from './access-tokens/roles.guard.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SessionsService } from './sessions/sessions.service.js';
import { UserTurnsService } from './user-turns.service.js';
import { VerifiedTokensService } from './access-tokens/verified-tokens.service.js';

/** Signs users in and out: issues and verifies access tokens, and changes accounts together with their sessions. */
@Module({
  imports: [JwtModule.register({}), KeysModule, LimitsModule, TokensModule, UsersModule],
  controllers: [AuthController, SessionsController],
  providers: [
    AccessTokenIssuer,
    AccessTokenStrategy,
    AccessTokensService,
    AccountsService,
    SessionsService,
    UserTurnsService,
    VerifiedTokensService,
    {
      provide: AuthModuleOptions,
      inject: [AccessTokenStrategy],
      useFactory: (strategy: AccessTokenStrategy): AuthModuleOptions => ({
        defaultStrategy: strategy.registeredName,
        session: false,
      }),
    },
    { provide: APP_GUARD, useClass: AccessTokenGuard },
    { provide: APP_GUARD, useClass: RolesGuard },
  ],
  exports: [AccessTokensService, AccountsService, SessionsService],
})
export class AuthModule {}
