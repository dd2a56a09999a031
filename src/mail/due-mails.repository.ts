import { Injectable } from '@nestjs/common';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import type { TicketPurpose } from '../tickets/tickets.types.js';
import type { MailTemplate, MailValues } from './mail-templates.types.js';

/**
 * Claims up to $1 mails. The lease is the time of the next attempt: a minute, doubled with every attempt up to an hour.
 * So no transaction is open while a mail is sent, and what a dead instance had claimed is sent later by another one.
 * Rows that another instance is claiming are skipped. A subquery in `where` could be run again for each row and claim more.
 */
const CLAIM_MAILS = `
  with due as materialized (
    select id from outgoing_mails
    where sent_at is null and failed_at is null and next_attempt_at <= clock_timestamp()
    order by next_attempt_at limit $1
    for update skip locked
  ),
  claimed as (
    update outgoing_mails as mail
    set attempts = attempts + 1,
        next_attempt_at = clock_timestamp() + interval '1 minute' * least(power(2, attempts), 60)
    from due
    where mail.id = due.id
    returning mail.id, template, recipient, locale, params, ticket_id, created_at, attempts, last_error
  )
  select claimed.id, template, recipient, locale, coalesce(params, '{}') as params,
         ticket_id as "ticketId", purpose, key_id as "keyId",
         last_error as "lastError",
         claimed.attempts > 1 and claimed.created_at < clock_timestamp() - interval '24 hours'
           or (ticket_id is not null and (tickets.id is null or consumed_at is not null or expires_at <= clock_timestamp()))
           as "isExpired",
         ceil(extract(epoch from expires_at - clock_timestamp()) / 60)::int as minutes
  from claimed left join tickets on tickets.id = ticket_id`;

const MARK_SENT = `
  update outgoing_mails set sent_at = clock_timestamp(), last_error = null
  where id = $1 and sent_at is null and failed_at is null`;

const MARK_FAILED = `
  update outgoing_mails set failed_at = clock_timestamp(), last_error = $2
  where id = $1 and sent_at is null and failed_at is null`;

const NOTE_ERROR = `update outgoing_mails set last_error = $2 where id = $1 and sent_at is null and failed_at is null`;

const DELETE_MAIL = `delete from outgoing_mails where id = $1`;

/** A day after it was sent, a mail says no longer to whom. */
const FORGET_RECIPIENTS = `
  update outgoing_mails set recipient = null, params = null
  where id = any(array(
    select id from outgoing_mails
    where sent_at < clock_timestamp() - interval '1 day' and recipient is not null limit $1
  ))`;

/** Seven days after it was sent, thirty after it failed. */
const DELETE_OLD = `
  delete from outgoing_mails
  where id = any(array(
    select id from outgoing_mails
    where sent_at < clock_timestamp() - interval '7 days' or failed_at < clock_timestamp() - interval '30 days'
    limit $1
  ))
  returning id`;

export interface DueMail {
  readonly id: string;
  readonly template: MailTemplate;
  /** Null for nobody. */
  readonly recipient: string | null;
  readonly locale: string | null;
  readonly params: Omit<MailValues, 'email'>;
  readonly ticketId: string | null;
  readonly purpose: TicketPurpose | null;
  readonly keyId: number | null;
  /** Why the last attempt failed. */
  readonly lastError: string | null;
  /** Its ticket is used or over, or a day has passed and it was tried before. */
  readonly isExpired: boolean;
  /** For how long its ticket is good. */
  readonly minutes: number | null;
}

/** Holds the SQL that sends `outgoing_mails`. Each statement is a transaction of its own. */
@Injectable()
export class DueMailsRepository {
  constructor(private readonly database: DatabaseService) {}

  /** Counts an attempt of each mail that it returns: they are this caller's for a minute at least. */
  claim(limit: number): Promise<DueMail[]> {
    return this.database.query<DueMail>(CLAIM_MAILS, [limit]);
  }

  async markSent(id: string): Promise<void> {
    await this.database.settle(() => this.database.query(MARK_SENT, [id]));
  }

  async markFailed(id: string, reason: string): Promise<void> {
    await this.database.query(MARK_FAILED, [id, reason]);
  }

  async noteError(id: string, reason: string): Promise<void> {
    await this.database.query(NOTE_ERROR, [id, reason]);
  }

  async deleteMail(id: string): Promise<void> {
    await this.database.query(DELETE_MAIL, [id]);
  }

  /** @returns how many rows were deleted */
  async cleanUp(transaction: Transaction, batchSize: number): Promise<number> {
    await transaction.query(FORGET_RECIPIENTS, [batchSize]);
    return (await transaction.query(DELETE_OLD, [batchSize])).length;
  }
}
