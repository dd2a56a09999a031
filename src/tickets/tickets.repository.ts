import { Injectable } from '@nestjs/common';
import type { Connection, PreparedStatement, Transaction } from '../platform/database/database.service.js';
import { JUDGE_TICKET, type JudgementRow, MAX_WRONG_PROOFS, type TicketRow } from './judgement.statement.js';
import type { Ticket, TicketContents, TicketVerdict } from './tickets.types.js';

/** A retry with the same id makes no second row. */
const INSERT_TICKET: PreparedStatement = {
  name: 'insert_ticket',
  text: `
    insert into tickets (id, purpose, key_id, user_id, email, credential_version, data, created_at, expires_at)
    select $1, $2, $3, $4, $5, $6, $7, at, at + make_interval(secs => $8) from clock_timestamp() as at
    on conflict (id) do nothing`,
};

const FIND_TICKET: PreparedStatement = {
  name: 'find_ticket',
  text: 'select user_id, email, data, created_at from tickets where id = $1 and purpose = $2 and key_id = $3',
};

const IS_TICKET_GOOD: PreparedStatement = {
  name: 'is_ticket_good',
  text: `
    select 1 from tickets
    where id = $1 and purpose = $2 and key_id = $3 and user_id = $4 and credential_version is not distinct from $5
      and consumed_at is null and expires_at > clock_timestamp() and attempts < ${MAX_WRONG_PROOFS}`,
};

/** Holds the only SQL on `tickets`. */
@Injectable()
export class TicketsRepository {
  async insertTicket(
    connection: Connection,
    ticket: Ticket,
    contents: Omit<TicketContents, 'issuedAt'> & {
      readonly credentialVersion: number | undefined;
      readonly lifetimeSeconds: number;
    },
  ): Promise<void> {
    await connection.queryPrepared(INSERT_TICKET, [
      ticket.id,
      ticket.purpose,
      ticket.keyId,
      contents.userId ?? null,
      contents.email ?? null,
      contents.credentialVersion ?? null,
      JSON.stringify(contents.data),
      contents.lifetimeSeconds,
    ]);
  }

  /** Finds a ticket in any state and locks nothing; undefined when there is none. */
  async findTicket(connection: Connection, ticket: Ticket): Promise<TicketContents | undefined> {
    const [row] = await connection.queryPrepared<TicketRow>(FIND_TICKET, [ticket.id, ticket.purpose, ticket.keyId]);
    return row && contentsOf(row);
  }

  /** Tells whether a ticket of a user could be consumed now, and changes nothing. */
  async isTicketGood(
    connection: Connection,
    ticket: Ticket,
    holder: { readonly userId: string; readonly credentialVersion: number | undefined },
  ): Promise<boolean> {
    const { id, purpose, keyId } = ticket;
    const values = [id, purpose, keyId, holder.userId, holder.credentialVersion ?? null];
    return (await connection.queryPrepared(IS_TICKET_GOOD, values)).length > 0;
  }

  /** Decides one presentation; waits for a transaction that holds the ticket. */
  async judgeTicket(
    transaction: Transaction,
    ticket: Ticket,
    presentation: {
      readonly userId: string | undefined;
      readonly credentialVersion: number | undefined;
      readonly attemptId: string;
      readonly isProven: boolean;
    },
  ): Promise<TicketVerdict> {
    const [row] = await transaction.queryPrepared<JudgementRow>(JUDGE_TICKET, [
      ticket.id,
      ticket.purpose,
      ticket.keyId,
      presentation.userId ?? null,
      presentation.credentialVersion ?? null,
      presentation.attemptId,
      presentation.isProven,
    ]);
    if (row === undefined) {
      return { kind: 'refused', reason: 'unknown' };
    }
    switch (row.verdict) {
      case 'consumed':
      case 'consumed before':
        return { kind: row.verdict, contents: contentsOf(row) };
      case 'unproven':
        return { kind: row.verdict };
      case 'used':
      case 'expired':
      case 'exhausted':
      case 'superseded':
        return { kind: 'refused', reason: row.verdict };
    }
  }

  /**
   * Deletes tickets that expired an hour ago or earlier. A row locked by another transaction is left for the next run.
   *
   * @returns how many were deleted
   */
  async deleteExpired(transaction: Transaction, batchSize: number): Promise<number> {
    const rows = await transaction.query(
      `with expired as materialized (
         select id from tickets
         where expires_at < now() - interval '1 hour'
         order by expires_at
         limit $1
         for update skip locked
       )
       delete from tickets using expired
       where tickets.id = expired.id
       returning 1`,
      [batchSize],
    );
    return rows.length;
  }
}

function contentsOf(row: TicketRow): TicketContents {
  return { userId: row.user_id ?? undefined, email: row.email ?? undefined, data: row.data, issuedAt: row.created_at };
}
