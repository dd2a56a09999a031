import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { SecondFactorInvalidError } from '../../factors/factors.errors.js';
import { RefusedTokenLimiterService } from '../../limits/refused-token-limiter.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import type { PresentedTicket } from '../../tickets/tickets.types.js';
import { UsersService } from '../../users/users.service.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { joinMethods } from '../acr.types.js';
import type { Client, TokenPair } from '../auth.types.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { FactorProof, PreparedProof } from './factor-proof.js';
import { FactorAttemptsService } from './factor-attempts.service.js';
import { FactorProofsService } from './factor-proofs.service.js';

/** Runs the second step of a sign-in, whatever the first one was. */
@Injectable()
export class SecondFactorSignInsService {
  constructor(
    private readonly users: UsersService,
    private readonly tickets: TicketsService,
    private readonly proofs: FactorProofsService,
    private readonly attempts: FactorAttemptsService,
    private readonly outbox: OutboxService,
    private readonly refusedTokenLimiter: RefusedTokenLimiterService,
    private readonly signIns: SignInsService,
    private readonly sessions: SessionsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
  ) {}

  /**
   * Opens the session that the first step could not. The fifth wrong proof kills the ticket, and
   * wrong ones count against the user over all tickets and sessions.
   *
   * @throws TicketInvalidError, also when a change of the user's credentials or factors came between the steps
   * @throws SecondFactorInvalidError, TooManyAttemptsError, ValidationFailedError
   */
  async complete(token: string, proof: FactorProof, client: Client): Promise<TokenPair> {
    this.issuer.requireKey();
    const ticket = await this.refusedTokenLimiter.limitRefusals(client.networks[0], () =>
      this.tickets.identify('lg1', token),
    );
    const { userId } = (await this.tickets.find(this.database, ticket)) ?? {};
    if (userId === undefined) {
      throw new TicketInvalidError('unknown, or of no user');
    }
    const occasion = { kind: 'second_factor', loginId: ticket.id } as const;
    return this.attempts.countAttempt(userId, client, async () =>
      this.redeem(ticket, userId, await this.proofs.prepare(proof, userId, occasion, client), client),
    );
  }

  private async redeem(
    ticket: PresentedTicket<'lg1'>,
    userId: string,
    proof: PreparedProof,
    client: Client,
  ): Promise<TokenPair> {
    const attemptId = randomUUID();
    const signIn = this.signIns.newSignIn(userId);
    let methods: readonly string[] = [];
    const { verdict, outcome } = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          if (user?.status !== 'active') {
            return { verdict: { kind: 'refused', reason: 'unknown' } as const };
          }
          const judged = await proof.judge(transaction, user);
          // Of an attempt that has committed and whose answer was lost, the retry finds the proof used, and the ticket by it.
          methods = judged.isProven ? judged.methods : methods;
          const consumption = { attemptId, user };
          const seen = await this.tickets.consumeProven(transaction, ticket, judged.isProven, consumption);
          if (seen.kind === 'consumed') {
            await judged.accept();
          }
          if (seen.kind !== 'consumed' && seen.kind !== 'consumed before') {
            return { verdict: seen };
          }
          const { amr } = seen.contents.data;
          const proved = joinMethods(Array.isArray(amr) ? amr.map(String) : [], methods);
          return { verdict: seen, outcome: await this.signIns.open(transaction, user, proved, { ...signIn, client }) };
        }),
      ),
    );
    if (verdict.kind === 'unproven') {
      throw new SecondFactorInvalidError();
    }
    this.tickets.requireConsumed(verdict);
    if (outcome === undefined) {
      throw new Error('a consumed ticket opened nothing');
    }
    this.outbox.wake();
    return this.sessions.conclude(outcome, client);
  }
}
