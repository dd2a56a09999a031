import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { MailLimitsService } from '../../limits/mail-limits.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { TICKET_PURPOSES, type TicketVerdict } from '../../tickets/tickets.types.js';
import { UsersService } from '../../users/users.service.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import type { Client, TokenPair } from '../auth.types.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import type { MailboxProof } from './mailbox-proof.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import type { MailTicket } from './mailbox.types.js';

/** Consumes the ticket of a registration, within the transaction that makes the account. */
type Consume = (transaction: Transaction, attemptId: string) => Promise<TicketVerdict>;

/**
 * Registers accounts that exist only once their mailbox has been proven. Until then the hash of the password waits in a
 * ticket, so that no one can occupy an address.
 */
@Injectable()
export class ProvenRegistrationsService {
  constructor(
    private readonly users: UsersService,
    private readonly tickets: TicketsService,
    private readonly mailboxTickets: MailboxTicketsService,
    private readonly limits: MailLimitsService,
    private readonly outbox: OutboxService,
    private readonly signIns: SignInsService,
    private readonly sessions: SessionsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
  ) {}

  /**
   * Mails a code and a link to a free address. The owner of a taken one is told so instead; the hash, the statements and the
   * answer are the same, and no code fits the ticket.
   *
   * @throws ValidationFailedError, TooManyAttemptsError, OverloadedError
   */
  async begin(
    email: string,
    password: string,
    client: Client,
    acceptLanguage: string | undefined,
  ): Promise<MailTicket> {
    const prepared = await this.users.prepareRegistration({ email, password, applicant: client }, (address) =>
      this.limits.countMail(address, client.networks),
    );
    const holder = await this.users.findAccount(prepared.email);
    const locale = this.outbox.localeFor(acceptLanguage);
    const ticket = this.tickets.newTicket('registration');
    const mailId = randomUUID();
    await this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        await this.tickets.issue(transaction, ticket, {
          email: prepared.email,
          data: { password_hash: prepared.passwordHash, ...(locale !== undefined && { locale }) },
        });
        await this.outbox.enqueue(
          transaction,
          holder === undefined
            ? { id: mailId, template: 'registration', recipient: prepared.email, locale, ticket }
            : { id: mailId, template: 'address_taken', recipient: prepared.email, locale: holder.locale },
        );
      }),
    );
    this.outbox.wake();
    return {
      token: this.tickets.tokenOf(ticket, 'rg1'),
      expiresInSeconds: TICKET_PURPOSES.registration.lifetimeSeconds,
    };
  }

  /**
   * Makes the account, and opens its first session. With a typed code it gets the password that the client chose which has the
   * ticket; with a link, which any device may open, one that is chosen now. Neither the mailbox nor the client that registered is
   * enough alone, so a click on what an attacker has asked for makes no account with the attacker's password.
   *
   * @param password with a link only
   * @throws TicketInvalidError, CodeInvalidError, TooManyAttemptsError, ValidationFailedError, OverloadedError
   * @throws EmailTakenError if another registration of the address was faster; the ticket stays as it is
   */
  async complete(proof: MailboxProof, password: string, client: Client): Promise<TokenPair> {
    this.issuer.requireKey();
    if (proof.kind === 'code') {
      const ticket = await this.mailboxTickets.identify('rg1', proof.ticket, client);
      const isProven = this.tickets.isCodeOf(ticket, proof.code);
      return this.mailboxTickets.countWrongCode(ticket, () =>
        this.create(client, undefined, (transaction, attemptId) =>
          this.tickets.consumeProven(transaction, ticket, isProven, { attemptId, user: undefined }),
        ),
      );
    }
    const ticket = await this.mailboxTickets.identify('rl1', proof.token, client);
    const passwordHash = await this.users.hashNewPassword(password, { applicant: client });
    return this.create(client, passwordHash, (transaction, attemptId) =>
      this.tickets.consume(transaction, ticket, { attemptId, user: undefined }),
    );
  }

  private async create(client: Client, chosenHash: string | undefined, consume: Consume): Promise<TokenPair> {
    const [attemptId, userId] = [randomUUID(), randomUUID()];
    const signIn = this.signIns.newSignIn(userId);
    const { verdict, outcome } = await this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        const judged = await consume(transaction, attemptId);
        if (judged.kind === 'consumed') {
          const { email = '', data } = judged.contents;
          await this.users.createProven(transaction, {
            id: userId,
            email,
            passwordHash: chosenHash ?? String(data['password_hash']),
            locale: typeof data['locale'] === 'string' ? data['locale'] : undefined,
          });
        }
        const isDone = judged.kind === 'consumed' || judged.kind === 'consumed before';
        const user = isDone ? await this.users.lockUser(transaction, userId) : undefined;
        // A retry finds the session that the first attempt has opened.
        const signedIn = user && (await this.signIns.open(transaction, user, ['pwd'], { ...signIn, client }));
        return { verdict: judged, outcome: signedIn };
      }),
    );
    this.tickets.requireConsumed(verdict);
    if (outcome === undefined) {
      throw new TicketInvalidError('the account was deleted before the answer');
    }
    return this.sessions.conclude(outcome, client);
  }
}
