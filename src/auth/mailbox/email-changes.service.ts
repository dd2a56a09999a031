import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { MailLimitsService } from '../../limits/mail-limits.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { AccountDisabledError, ValidationFailedError } from '../../platform/common/domain.errors.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { TICKET_PURPOSES } from '../../tickets/tickets.types.js';
import { TokensService } from '../../tokens/tokens.service.js';
import { EmailTakenError } from '../../users/users.errors.js';
import { UsersService } from '../../users/users.service.js';
import { FactorEvictionsService } from '../accounts/factor-evictions.service.js';
import { AccessTokenRevokedError } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { MailboxProof } from './mailbox-proof.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import type { MailTicket } from './mailbox.types.js';

/** Changes the address of an account: from a session, by the new mailbox, and for 72 hours back by the old one. */
@Injectable()
export class EmailChangesService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly tickets: TicketsService,
    private readonly mailboxTickets: MailboxTicketsService,
    private readonly limits: MailLimitsService,
    private readonly outbox: OutboxService,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly factorEvictions: FactorEvictionsService,
  ) {}

  /**
   * Mails a code and a link to the new address, and a link that undoes the change to the old one. If another account has the
   * new address, its owner is told so instead; the answer and the statements are the same, and no code fits the ticket.
   *
   * @throws ValidationFailedError also for the address that the account has, TooManyAttemptsError, AccountDisabledError
   */
  async request(identity: Identity, newEmail: string, client: Client): Promise<MailTicket> {
    const { userId, sessionId } = identity;
    const address = this.users.requireEmail('new_email', newEmail);
    await this.limits.countMail(address, client.networks);
    const holder = await this.users.findAccount(address);
    const change = this.tickets.newTicket('email_change');
    const undo = this.tickets.newTicket('email_change_undo');
    const [mailId, noticeId] = [randomUUID(), randomUUID()];
    const asked = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          if (user?.status !== 'active') {
            return user === undefined ? 'gone' : 'disabled';
          }
          if (user.email === address) {
            return 'unchanged';
          }
          await this.tickets.issue(transaction, change, { user, email: address, data: { session_id: sessionId } });
          await this.tickets.issue(transaction, undo, { user, email: user.email });
          await this.outbox.enqueue(
            transaction,
            holder === undefined
              ? { id: mailId, template: 'email_change', recipient: address, locale: user.locale, ticket: change }
              : { id: mailId, template: 'address_taken', recipient: address, locale: holder.locale },
          );
          await this.outbox.enqueue(transaction, {
            id: noticeId,
            template: 'email_change_notice',
            recipient: user.email,
            locale: user.locale,
            ticket: undo,
            params: { newEmail: address },
          });
          return 'asked';
        }),
      ),
    );
    switch (asked) {
      case 'gone':
        throw new AccessTokenRevokedError('the account has been deleted');
      case 'disabled':
        throw new AccountDisabledError();
      case 'unchanged':
        throw new ValidationFailedError([{ field: 'new_email', message: 'must not be the address of the account' }]);
      case 'asked':
        this.outbox.wake();
        return {
          token: this.tickets.tokenOf(change, 'ec1'),
          expiresInSeconds: TICKET_PURPOSES.email_change.lifetimeSeconds,
        };
    }
  }

  /**
   * Gives the account its new address, which counts as proven, and ends all sessions except the one that asked.
   *
   * @param identity of the access token, which a link needs
   * @throws TicketInvalidError, CodeInvalidError, AccessTokenMissingError
   * @throws EmailTakenError if another account has taken the address since; the ticket stays good
   */
  async confirm(proof: MailboxProof, identity: Identity | undefined, client: Client): Promise<void> {
    const [mailId, oldMailId] = [randomUUID(), randomUUID()];
    await this.mailboxTickets.redeemBothHalves(
      { code: 'ec1', link: 'el1' },
      proof,
      { client, identity },
      async (transaction, user, { email: newEmail = '', data: { session_id: askedBySession } }) => {
        await this.users.changeEmail(transaction, user.id, newEmail);
        const spared = typeof askedBySession === 'string' ? { exceptId: askedBySession } : {};
        const { allEndedIds } = await this.tokens.endSessionsOfUser(transaction, user.id, 'email_changed', spared);
        const mail = {
          template: 'email_changed',
          locale: user.locale,
          params: { oldEmail: user.email, newEmail },
        } as const;
        await this.outbox.enqueue(transaction, { ...mail, id: mailId, recipient: newEmail });
        await this.outbox.enqueue(transaction, { ...mail, id: oldMailId, recipient: user.email });
        return allEndedIds;
      },
    );
    this.outbox.wake();
  }

  /**
   * Takes a change back, whether or not it was confirmed: the old address returns unless another account has it by now, all
   * sessions and tickets end, and the password is removed, because an intruder may have set or known it. So are the factors and
   * recovery codes that were added after the change was asked for; older ones stay. The old mailbox gets a link that sets a new
   * password.
   *
   * @throws TicketInvalidError
   */
  async undo(token: string, client: Client): Promise<void> {
    const ticket = await this.mailboxTickets.identify('eu1', token, client);
    const reset = this.tickets.newTicket('password_reset');
    const mailId = randomUUID();
    const undo = (): Promise<void> =>
      this.mailboxTickets.redeem(ticket, async (transaction, user, { email: oldEmail = '', issuedAt }) => {
        await this.factorEvictions.evictAddedSince(transaction, user, issuedAt);
        const credentialVersion = await this.users.restoreEmail(transaction, user.id, oldEmail);
        const { allEndedIds } = await this.tokens.endSessionsOfUser(transaction, user.id, 'email_changed');
        await this.tickets.issue(transaction, reset, { user: { id: user.id, credentialVersion }, email: oldEmail });
        await this.outbox.enqueue(transaction, {
          id: mailId,
          template: 'email_change_undone',
          recipient: oldEmail,
          locale: user.locale,
          ticket: reset,
        });
        return allEndedIds;
      });
    await undo().catch((error: unknown) => {
      if (!(error instanceof EmailTakenError)) {
        throw error;
      }
      // A registration took the address at the same instant; now it is seen.
      return undo();
    });
    this.outbox.wake();
  }
}
