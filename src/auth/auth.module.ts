import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { JwtModule } from '@nestjs/jwt';
import { AuthModuleOptions } from '@nestjs/passport';
import { KeysModule } from '../keys/keys.module.js';
import { LimitsModule } from '../limits/limits.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';
import { AccessTokenGuard } from './access-tokens/access-token.guard.js';
import { AccessTokenStrategy } from './access-tokens/access-token.strategy.js';
import { AccessTokensService } from './access-tokens/access-tokens.service.js';
import { AccountsModule } from './accounts/accounts.module.js';
import { AuthController } from './auth.controller.js';
import { SessionCookiesService } from './cookies/session-cookies.service.js';
import { RolesGuard } from './access-tokens/roles.guard.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { VerifiedTokensService } from './access-tokens/verified-tokens.service.js';

/** Signs users in and out: the routes and guards, over `AccountsModule`, and what verifies access tokens. */
@Module({
  imports: [AccountsModule, JwtModule.register({}), KeysModule, LimitsModule, TokensModule, UsersModule],
  controllers: [AuthController, SessionsController],
  providers: [
    AccessTokenStrategy,
    AccessTokensService,
    SessionCookiesService,
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
  exports: [AccessTokensService, AccountsModule, SessionCookiesService],
})
export class AuthModule {}
