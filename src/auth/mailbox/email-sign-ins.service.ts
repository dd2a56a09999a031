import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { MailLimitsService } from '../../limits/mail-limits.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import {
  type Consumption,
  type PresentedTicket,
  TICKET_PURPOSES,
  type TicketVerdict,
} from '../../tickets/tickets.types.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { NewFamily } from '../../tokens/tokens.types.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';
import { FactorEvictionsService } from '../accounts/factor-evictions.service.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import type { Client, TokenPair } from '../auth.types.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { MailboxProof } from './mailbox-proof.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import type { MailTicket } from './mailbox.types.js';

/** Signs in by a code or a link in a mail. */
@Injectable()
export class EmailSignInsService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly tickets: TicketsService,
    private readonly mailboxTickets: MailboxTicketsService,
    private readonly limits: MailLimitsService,
    private readonly outbox: OutboxService,
    private readonly signIns: SignInsService,
    private readonly sessions: SessionsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly factorEvictions: FactorEvictionsService,
    private readonly clock: Clock,
  ) {}

  /**
   * Mails a code and a link if an active account has the address. Any other address costs the same statements and gets the same
   * answer, with a ticket that no code fits.
   *
   * @throws ValidationFailedError, TooManyAttemptsError
   */
  async request(email: string, client: Client): Promise<MailTicket> {
    const address = this.users.requireEmail('email', email);
    await this.limits.countMail(address, client.networks);
    const account = await this.users.findAccount(address);
    const holder = account?.status === 'active' ? account : undefined;
    const ticket = this.tickets.newTicket('sign_in_code');
    const mailId = randomUUID();
    await this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        await this.tickets.issue(transaction, ticket, { email: address, ...(holder && { user: holder }) });
        await this.outbox.enqueue(transaction, {
          id: mailId,
          template: 'sign_in_code',
          recipient: holder?.email,
          locale: holder?.locale,
          ticket,
        });
      }),
    );
    this.outbox.wake();
    return {
      token: this.tickets.tokenOf(ticket, 'sc1'),
      expiresInSeconds: TICKET_PURPOSES.sign_in_code.lifetimeSeconds,
    };
  }

  /**
   * Opens a session for a ticket and the code of the mail, or for its link. If this is the first proof of the mailbox, everyone who
   * was in the account before is out, and its password and factors are removed.
   *
   * @throws TicketInvalidError, CodeInvalidError, TooManyAttemptsError, SecondFactorRequiredError
   */
  async signIn(proof: MailboxProof, client: Client): Promise<TokenPair> {
    this.issuer.requireKey();
    if (proof.kind === 'link') {
      const ticket = await this.mailboxTickets.identify('sl1', proof.token, client);
      return this.redeem(ticket, client, (transaction, consumption) =>
        this.tickets.consume(transaction, ticket, consumption),
      );
    }
    const ticket = await this.mailboxTickets.identify('sc1', proof.ticket, client);
    const isProven = this.tickets.isCodeOf(ticket, proof.code);
    return this.mailboxTickets.countWrongCode(ticket, () =>
      this.redeem(ticket, client, (transaction, consumption) =>
        this.tickets.consumeProven(transaction, ticket, isProven, consumption),
      ),
    );
  }

  private async redeem(
    ticket: PresentedTicket,
    client: Client,
    consume: (transaction: Transaction, consumption: Consumption) => Promise<TicketVerdict>,
  ): Promise<TokenPair> {
    // A ticket of nobody is judged as one of a user is, and finds no row to lock.
    const userId = (await this.tickets.find(this.database, ticket))?.userId ?? randomUUID();
    const [attemptId, mailId] = [randomUUID(), randomUUID()];
    const signIn = this.signIns.newSignIn(userId);
    let endedIds: readonly string[] = [];
    const { verdict, outcome } = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          const judged = await consume(transaction, { attemptId, user });
          const isClaimed = judged.kind === 'consumed' && user?.isEmailVerified === false;
          if (isClaimed) {
            endedIds = await this.claim(transaction, user, signIn.family, mailId);
          }
          // Also of an attempt that has committed and whose answer was lost: it is idempotent per family.
          const isDone = judged.kind === 'consumed' || judged.kind === 'consumed before';
          const signedIn =
            isDone && user?.status === 'active'
              ? await this.signIns.open(transaction, isClaimed ? { ...user, secondFactors: [] } : user, ['otp'], {
                  ...signIn,
                  client,
                })
              : undefined;
          return { verdict: judged, outcome: signedIn };
        }),
      ),
    );
    this.tickets.requireConsumed(verdict);
    if (outcome === undefined) {
      throw new TicketInvalidError('of no active account');
    }
    this.tokens.announceEnded(endedIds);
    this.outbox.wake();
    return this.sessions.conclude(outcome, client);
  }

  /** @returns the sessions to announce as ended after the commit */
  private async claim(
    transaction: Transaction,
    user: LockedUser,
    family: NewFamily,
    mailId: string,
  ): Promise<readonly string[]> {
    await this.users.claimByMailbox(transaction, user.id);
    await this.factorEvictions.evictAll(transaction, user);
    const { allEndedIds } = await this.tokens.endSessionsOfUser(transaction, user.id, 'password_changed', {
      exceptId: family.id,
    });
    await this.outbox.enqueue(transaction, {
      id: mailId,
      template: 'password_changed',
      recipient: user.email,
      locale: user.locale,
      params: { at: this.clock.now().toISOString() },
    });
    return allEndedIds;
  }
}
