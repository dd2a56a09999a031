import { Injectable } from '@nestjs/common';
import type { Connection, PreparedStatement, Transaction } from '../platform/database/database.service.js';
import type { MailQueueState, OutgoingMail, QueuedMail } from './mail.types.js';

interface QueuedMailRow {
  readonly id: string;
  readonly template: string;
  readonly recipient: string;
  readonly created_at: Date;
  readonly attempts: number;
  readonly next_attempt_at: Date;
  readonly failed_at: Date | null;
  readonly last_error: string | null;
}

/** A retry with the same id makes no second row. A mail is due at once. */
const INSERT_MAIL: PreparedStatement = {
  name: 'insert_mail',
  text: `
    insert into outgoing_mails (id, template, recipient, locale, ticket_id, params, created_at, next_attempt_at)
    select $1, $2, $3, $4, $5, $6, at, at from clock_timestamp() as at
    on conflict (id) do nothing`,
};

/** Holds the SQL on `outgoing_mails` of all that does not send them. */
@Injectable()
export class OutgoingMailsRepository {
  async insertMail(connection: Connection, mail: OutgoingMail): Promise<void> {
    await connection.queryPrepared(INSERT_MAIL, [
      mail.id,
      mail.template,
      mail.recipient ?? null,
      mail.locale ?? null,
      mail.ticket?.id ?? null,
      JSON.stringify(mail.params ?? {}),
    ]);
  }

  async readQueueState(connection: Pick<Transaction, 'query'>): Promise<MailQueueState> {
    const [state = { length: 0, oldestAgeSeconds: 0 }] = await connection.query<MailQueueState>(
      `select count(*)::int as length,
         coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as "oldestAgeSeconds"
       from outgoing_mails
       where sent_at is null and failed_at is null and recipient is not null`,
    );
    return state;
  }

  async listUnsent(connection: Pick<Transaction, 'query'>, limit: number): Promise<QueuedMail[]> {
    const rows = await connection.query<QueuedMailRow>(
      `select id, template, recipient, created_at, attempts, next_attempt_at, failed_at, last_error
       from outgoing_mails
       where sent_at is null and recipient is not null
       order by created_at, id
       limit $1`,
      [limit],
    );
    return rows.map((row) => ({
      id: row.id,
      template: row.template,
      recipient: row.recipient,
      createdAt: row.created_at,
      attempts: row.attempts,
      nextAttemptAt: row.failed_at === null ? row.next_attempt_at : undefined,
      failedAt: row.failed_at ?? undefined,
      lastError: row.last_error ?? undefined,
    }));
  }

  /** A mail that waits is due again only when it is named. Attempts are counted anew. */
  async makeDue(connection: Pick<Transaction, 'query'>, id: string | undefined): Promise<number> {
    const rows = await connection.query(
      `update outgoing_mails
       set failed_at = null, attempts = 0, next_attempt_at = clock_timestamp(), last_error = null
       where sent_at is null and recipient is not null and (id = $1::uuid or ($1 is null and failed_at is not null))
       returning 1`,
      [id ?? null],
    );
    return rows.length;
  }
}
