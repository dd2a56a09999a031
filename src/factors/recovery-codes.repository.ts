import { Injectable } from '@nestjs/common';
import type { PreparedStatement, Transaction } from '../platform/database/database.service.js';

const FIND_CODE: PreparedStatement = {
  name: 'find_recovery_code',
  text: `select used_at::text as "usedAt" from recovery_codes where user_id = $1 and code_hash = $2`,
};

/** Uses a code once: of all transactions that show it, only the first finds it unused. */
const USE_CODE: PreparedStatement = {
  name: 'use_recovery_code',
  text: `
    update recovery_codes set used_at = clock_timestamp()
    where user_id = $1 and code_hash = $2 and used_at is null
    returning used_at::text as "usedAt"`,
};

/** Holds the only SQL on `recovery_codes` that does not remove factors of all kinds. */
@Injectable()
export class RecoveryCodesRepository {
  /** Replaces all codes of a user. A retry with the same codes changes nothing. */
  async replaceCodes(transaction: Transaction, userId: string, hashes: readonly Buffer[]): Promise<void> {
    await transaction.query('delete from recovery_codes where user_id = $1 and code_hash <> all ($2)', [
      userId,
      hashes,
    ]);
    await transaction.query(
      `insert into recovery_codes (user_id, code_hash, created_at)
       select $1, hash, clock_timestamp() from unnest($2::bytea[]) as hash
       on conflict do nothing`,
      [userId, hashes],
    );
  }

  /** @returns when it was used, as the database writes it; null when it was not; undefined when there is no such code */
  async findCode(transaction: Transaction, userId: string, hash: Buffer): Promise<string | null | undefined> {
    const [found] = await transaction.queryPrepared<{ usedAt: string | null }>(FIND_CODE, [userId, hash]);
    return found?.usedAt;
  }

  /** @returns the instant that names this use; undefined when the code had been used */
  async useCode(transaction: Transaction, userId: string, hash: Buffer): Promise<string | undefined> {
    const [used] = await transaction.queryPrepared<{ usedAt: string }>(USE_CODE, [userId, hash]);
    return used?.usedAt;
  }

  async countLeft(connection: Pick<Transaction, 'query'>, userId: string): Promise<number> {
    const [row] = await connection.query<{ left: number }>(
      'select count(*)::float8 as left from recovery_codes where user_id = $1 and used_at is null',
      [userId],
    );
    return row?.left ?? 0;
  }

  async removeCodes(transaction: Transaction, userId: string): Promise<void> {
    await transaction.query('delete from recovery_codes where user_id = $1', [userId]);
  }
}
