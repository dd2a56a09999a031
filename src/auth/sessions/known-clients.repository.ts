import { Injectable } from '@nestjs/common';
import type { PreparedStatement, Transaction } from '../../platform/database/database.service.js';

const MOST_PER_USER = 50;

/**
 * Remembers where a user has signed in from, and says whether that is new: the user has signed in before, and never from
 * there. Remembers the latest 50. The caller's lock on the user's row keeps two sign-ins from there from both being new, and
 * the retry of a sign-in that did commit finds its own row, which is not new.
 *
 * $1 user id, $2 fingerprint
 */
const RECOGNISE_CLIENT: PreparedStatement = {
  name: 'recognise_client',
  text: `
    with known as materialized (
      select fingerprint, last_seen from known_clients where user_id = $1
    ),
    forgotten as (
      delete from known_clients
      where user_id = $1 and fingerprint in (
        select fingerprint from known where fingerprint <> $2 order by last_seen desc offset ${MOST_PER_USER - 1}
      )
    ),
    seen as (
      insert into known_clients (user_id, fingerprint, last_seen)
      values ($1, $2, clock_timestamp())
      on conflict (user_id, fingerprint) do update set last_seen = excluded.last_seen
    )
    select exists (select from known) and not exists (select from known where fingerprint = $2) as is_new`,
};

/** Holds the only SQL on `known_clients`. */
@Injectable()
export class KnownClientsRepository {
  /** @returns whether the user has signed in before, and never from there */
  async recogniseClient(transaction: Transaction, userId: string, fingerprint: Buffer): Promise<boolean> {
    const [row] = await transaction.queryPrepared<{ readonly is_new: boolean }>(RECOGNISE_CLIENT, [
      userId,
      fingerprint,
    ]);
    return row?.is_new === true;
  }

  async forgetClients(transaction: Transaction, userId: string): Promise<void> {
    await transaction.query('delete from known_clients where user_id = $1', [userId]);
  }
}
