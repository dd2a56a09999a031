import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { CodeAttemptsService } from '../../limits/code-attempts.service.js';
import { RefusedTokenLimiterService } from '../../limits/refused-token-limiter.service.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { CodeInvalidError, TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import type { PresentedTicket, TicketContents, TicketForm } from '../../tickets/tickets.types.js';
import { TokensService } from '../../tokens/tokens.service.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';
import { AccessTokenMissingError } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { MailboxProof } from './mailbox-proof.js';

/** The purposes of tickets that have a form for the client that asked and one for the mailbox. */
interface CodedForms {
  readonly code: 'ec1' | 'ev1';
  readonly link: 'el1' | 'vl1';
}

/**
 * What a ticket of a user is for.
 *
 * @param user under the lock
 * @returns the sessions to announce as ended after the commit
 */
export type TicketEffect = (
  transaction: Transaction,
  user: LockedUser,
  contents: TicketContents,
) => Promise<readonly string[]>;

/** Redeems what a mailbox was sent: finds whose ticket it is, and carries out what it is for, at most once. */
@Injectable()
export class MailboxTicketsService {
  constructor(
    private readonly tickets: TicketsService,
    private readonly tokens: TokensService,
    private readonly users: UsersService,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly refusedTokenLimiter: RefusedTokenLimiterService,
    private readonly codeAttempts: CodeAttemptsService,
  ) {}

  /**
   * Reads an authentic token without asking the database.
   *
   * @throws TicketInvalidError
   * @throws TooManyAttemptsError once the network has shown too many tokens that this service never issued
   */
  identify<Form extends TicketForm>(form: Form, token: string, client: Client): Promise<PresentedTicket<Form>> {
    return this.refusedTokenLimiter.limitRefusals(client.networks[0], () => this.tickets.identify(form, token));
  }

  /**
   * Redeems a ticket by a typed code. A wrong one counts against the address that was sent the code, whatever it is for and
   * whether or not it has an account.
   *
   * @param redeem throws CodeInvalidError for a wrong code
   * @throws TooManyAttemptsError before the code was judged
   */
  async countWrongCode<T>(ticket: PresentedTicket, redeem: () => Promise<T>): Promise<T> {
    const { email } = (await this.tickets.find(this.database, ticket)) ?? {};
    return email === undefined
      ? redeem()
      : this.codeAttempts.countAttempt(
          { kind: 'code', address: email },
          redeem,
          (error) => error instanceof CodeInvalidError,
        );
  }

  /**
   * Redeems a ticket whose token is enough. The ticket is consumed in the transaction that carries out `effect`, which
   * may run again while the outcome of that is unknown.
   *
   * @param ownerId the only user whose ticket it may be, if that is known
   * @throws TicketInvalidError also for the ticket of a disabled account
   */
  redeem(
    ticket: PresentedTicket<'pr1' | 'eu1' | 'el1' | 'vl1'>,
    effect: TicketEffect,
    ownerId?: string,
  ): Promise<void> {
    return this.carryOut(
      ticket,
      (transaction, user, attemptId) => this.tickets.consume(transaction, ticket, { attemptId, user }),
      effect,
      ownerId,
    );
  }

  /**
   * Redeems both halves of a ticket: the mailbox's, and that of the account that asked. With a typed code the account's half
   * is the ticket of the client that asked; with a link it is an access token of the account. A mailbox alone is not
   * enough, because its owner may click on what an attacker has asked for.
   *
   * @throws TicketInvalidError also for the link of another account, CodeInvalidError, TooManyAttemptsError
   * @throws AccessTokenMissingError for a link without an access token
   */
  async redeemBothHalves(
    forms: CodedForms,
    proof: MailboxProof,
    { client, identity }: { readonly client: Client; readonly identity: Identity | undefined },
    effect: TicketEffect,
  ): Promise<void> {
    if (proof.kind === 'link') {
      const ticket = await this.identify(forms.link, proof.token, client);
      if (identity === undefined) {
        throw new AccessTokenMissingError('a link needs the session of its account as well');
      }
      return this.redeem(ticket, effect, identity.userId);
    }
    const ticket = await this.identify(forms.code, proof.ticket, client);
    const isProven = this.tickets.isCodeOf(ticket, proof.code);
    return this.countWrongCode(ticket, () =>
      this.carryOut(
        ticket,
        (transaction, user, attemptId) =>
          this.tickets.consumeProven(transaction, ticket, isProven, { attemptId, user }),
        effect,
      ),
    );
  }

  private async carryOut(
    ticket: PresentedTicket,
    consume: (transaction: Transaction, user: LockedUser, attemptId: string) => ReturnType<TicketsService['consume']>,
    effect: TicketEffect,
    ownerId?: string,
  ): Promise<void> {
    const found = await this.tickets.find(this.database, ticket);
    const { userId } = found ?? {};
    if (userId === undefined || (ownerId !== undefined && userId !== ownerId)) {
      throw new TicketInvalidError('unknown, of no user, or of another one');
    }
    const attemptId = randomUUID();
    let endedIds: readonly string[] = [];
    const verdict = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          if (user?.status !== 'active') {
            return { kind: 'refused', reason: 'unknown' } as const;
          }
          const judged = await consume(transaction, user, attemptId);
          if (judged.kind === 'consumed') {
            // An attempt that has committed and whose answer was lost has ended these as well.
            endedIds = await effect(transaction, user, judged.contents);
          }
          return judged;
        }),
      ),
    );
    this.tickets.requireConsumed(verdict);
    this.tokens.announceEnded(endedIds);
  }
}
