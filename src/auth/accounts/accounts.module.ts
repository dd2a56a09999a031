import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { KeysModule } from '../../keys/keys.module.js';
import { LimitsModule } from '../../limits/limits.module.js';
import { FactorRemovalsModule } from '../../factors/factor-removals.module.js';
import { OutboxModule } from '../../mail/outbox.module.js';
import { TicketsModule } from '../../tickets/tickets.module.js';
import { TokensModule } from '../../tokens/tokens.module.js';
import { UsersModule } from '../../users/users.module.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { KnownClientsRepository } from '../sessions/known-clients.repository.js';
import { KnownClientsService } from '../sessions/known-clients.service.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import { AccountsService } from './accounts.service.js';
import { FactorEvictionsService } from './factor-evictions.service.js';

/** Changes accounts and sessions, for the routes of `AuthModule` and for commands, which load no route. */
@Module({
  imports: [
    FactorRemovalsModule,
    JwtModule.register({}),
    KeysModule,
    LimitsModule,
    OutboxModule,
    TicketsModule,
    TokensModule,
    UsersModule,
  ],
  providers: [
    AccessTokenIssuer,
    AccountsService,
    FactorEvictionsService,
    KnownClientsRepository,
    KnownClientsService,
    SessionsService,
    SignInsService,
    UserTurnsService,
  ],
  exports: [
    AccessTokenIssuer,
    AccountsService,
    FactorEvictionsService,
    SessionsService,
    SignInsService,
    UserTurnsService,
  ],
})
export class AccountsModule {}
