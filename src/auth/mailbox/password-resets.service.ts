import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { MailLimitsService } from '../../limits/mail-limits.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import { UsersService } from '../../users/users.service.js';
import { FactorEvictionsService } from '../accounts/factor-evictions.service.js';
import type { Client } from '../auth.types.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';

/** Lets the owner of a mailbox set a new password for the account of its address. */
@Injectable()
export class PasswordResetsService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly tickets: TicketsService,
    private readonly mailboxTickets: MailboxTicketsService,
    private readonly limits: MailLimitsService,
    private readonly outbox: OutboxService,
    private readonly database: DatabaseService,
    private readonly factorEvictions: FactorEvictionsService,
    private readonly clock: Clock,
  ) {}

  /**
   * Mails a link to the address if an active account has it. Any other address costs the same statements and gets the same
   * answer.
   *
   * @throws ValidationFailedError, TooManyAttemptsError
   */
  async request(email: string, client: Client): Promise<void> {
    const address = this.users.requireEmail('email', email);
    await this.limits.countMail(address, client.networks);
    const account = await this.users.findAccount(address);
    const holder = account?.status === 'active' ? account : undefined;
    const ticket = this.tickets.newTicket('password_reset');
    const mailId = randomUUID();
    await this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        await this.tickets.issue(
          transaction,
          ticket,
          holder === undefined ? {} : { user: holder, email: holder.email },
        );
        await this.outbox.enqueue(transaction, {
          id: mailId,
          template: 'password_reset',
          recipient: holder?.email,
          locale: holder?.locale,
          ticket,
        });
      }),
    );
    this.outbox.wake();
  }

  /**
   * Sets a new password, ends every session and opens none: the owner signs in, by whatever else that asks for; factors stay.
   * An account whose address had not been proven belongs to the owner of the mailbox from now on, and no one else has a way in:
   * its factors, which another may have added, are removed.
   *
   * @throws TicketInvalidError, ValidationFailedError, OverloadedError
   */
  async reset(token: string, newPassword: string, client: Client): Promise<void> {
    const ticket = await this.mailboxTickets.identify('pr1', token, client);
    const newHash = await this.users.hashNewPassword(newPassword, { field: 'new_password', applicant: client });
    const mailId = randomUUID();
    await this.mailboxTickets.redeem(ticket, async (transaction, user, { email }) => {
      const isEmailProven = email === user.email;
      await this.users.resetPassword(transaction, user.id, newHash, { isEmailProven });
      if (isEmailProven && !user.isEmailVerified) {
        await this.factorEvictions.evictAll(transaction, user);
      }
      const { allEndedIds } = await this.tokens.endSessionsOfUser(transaction, user.id, 'password_changed');
      await this.outbox.enqueue(transaction, {
        id: mailId,
        template: 'password_changed',
        recipient: user.email,
        locale: user.locale,
        params: { at: this.clock.now().toISOString() },
      });
      return allEndedIds;
    });
    this.outbox.wake();
  }
}
