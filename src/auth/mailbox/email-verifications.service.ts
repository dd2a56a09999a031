import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { MailLimitsService } from '../../limits/mail-limits.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { AccountDisabledError } from '../../platform/common/domain.errors.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { TICKET_PURPOSES } from '../../tickets/tickets.types.js';
import { UsersService } from '../../users/users.service.js';
import { AccessTokenRevokedError } from '../auth.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { MailboxProof } from './mailbox-proof.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import type { MailTicket } from './mailbox.types.js';

/** Proves the address of an account that was made without a proof. */
@Injectable()
export class EmailVerificationsService {
  constructor(
    private readonly users: UsersService,
    private readonly tickets: TicketsService,
    private readonly mailboxTickets: MailboxTicketsService,
    private readonly limits: MailLimitsService,
    private readonly outbox: OutboxService,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
  ) {}

  /**
   * Mails a code and a link to the address of the account, also if it is proven already.
   *
   * @throws TooManyAttemptsError, AccountDisabledError
   */
  async request({ userId }: Identity, client: Client): Promise<MailTicket> {
    const known = await this.users.findById(userId);
    if (known === undefined) {
      throw new AccessTokenRevokedError('the account has been deleted');
    }
    await this.limits.countMail(known.email, client.networks);
    const ticket = this.tickets.newTicket('email_verification');
    const mailId = randomUUID();
    const user = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const locked = await this.users.lockUser(transaction, userId);
          if (locked?.status === 'active') {
            await this.tickets.issue(transaction, ticket, { user: locked, email: locked.email });
            await this.outbox.enqueue(transaction, {
              id: mailId,
              template: 'email_verification',
              recipient: locked.email,
              locale: locked.locale,
              ticket,
            });
          }
          return locked;
        }),
      ),
    );
    if (user?.status !== 'active') {
      throw user === undefined
        ? new AccessTokenRevokedError('the account has been deleted')
        : new AccountDisabledError();
    }
    this.outbox.wake();
    return {
      token: this.tickets.tokenOf(ticket, 'ev1'),
      expiresInSeconds: TICKET_PURPOSES.email_verification.lifetimeSeconds,
    };
  }

  /**
   * Records that the address is proven. Sessions and tickets stay: the account asked for it itself.
   *
   * @param identity of the access token, which a link needs
   * @throws TicketInvalidError, CodeInvalidError, AccessTokenMissingError
   */
  async verify(proof: MailboxProof, identity: Identity | undefined, client: Client): Promise<void> {
    await this.mailboxTickets.redeemBothHalves(
      { code: 'ev1', link: 'vl1' },
      proof,
      { client, identity },
      async (transaction, user) => {
        await this.users.verifyEmail(transaction, user.id);
        return [];
      },
    );
  }
}
