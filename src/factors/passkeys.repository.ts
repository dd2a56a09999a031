import { Injectable } from '@nestjs/common';
import type { Connection, PreparedStatement, Transaction } from '../platform/database/database.service.js';
import type { PasskeyTransport, RegisteredPasskey } from './passkeys.types.js';

export interface PasskeyRow {
  readonly id: Buffer;
  readonly name: string;
  readonly created_at: Date;
  readonly last_used_at: Date | null;
  readonly backed_up: boolean;
  readonly transports: PasskeyTransport[];
  readonly rp_id: string;
}

interface KeyRow {
  readonly user_id: string;
  readonly public_key: Buffer;
  readonly backup_eligible: boolean;
}

/** What the lock of the owner's row shows of a passkey. */
export interface PasskeyUse {
  /** Whether a counter is later than the stored one, or both are 0. */
  readonly has_moved: boolean;
  /** Exact, as text; null before the first use. */
  readonly last_used_at: string | null;
}

const LIST_PASSKEYS: PreparedStatement = {
  name: 'list_passkeys',
  text: `
    select id, name, created_at, last_used_at, backed_up, transports, rp_id
    from passkeys where user_id = $1
    order by created_at, id`,
};

const FIND_PASSKEY: PreparedStatement = {
  name: 'find_passkey',
  text: 'select user_id, public_key, backup_eligible from passkeys where id = $1 and rp_id = $2',
};

/**
 * A counter that is 0 stays 0: synced passkeys do not count. One that has counted never goes back to 0, which would erase what
 * it is compared with.
 */
const HAS_MOVED = '(sign_count < $3 or (sign_count = 0 and $3 = 0))';

const JUDGE_PASSKEY: PreparedStatement = {
  name: 'judge_passkey',
  text: `
    select ${HAS_MOVED} as has_moved, last_used_at::text
    from passkeys where id = $1 and user_id = $2`,
};

/** Compares and sets: of two copies of a passkey with the same counter, one can use it. */
const USE_PASSKEY: PreparedStatement = {
  name: 'use_passkey',
  text: `
    update passkeys set sign_count = $3, backed_up = $4, last_used_at = clock_timestamp()
    where id = $1 and user_id = $2 and ${HAS_MOVED}
    returning last_used_at::text`,
};

/** Holds the SQL on `passkeys`, except for what removes all factors of a user. */
@Injectable()
export class PasskeysRepository {
  /** The oldest first. */
  async listPasskeys(connection: Connection, userId: string): Promise<PasskeyRow[]> {
    return connection.queryPrepared<PasskeyRow>(LIST_PASSKEYS, [userId]);
  }

  async findPasskey(connection: Connection, id: Buffer, rpId: string): Promise<KeyRow | undefined> {
    const [row] = await connection.queryPrepared<KeyRow>(FIND_PASSKEY, [id, rpId]);
    return row;
  }

  /** @returns undefined when another one has the id, of whatever user */
  async insertPasskey(
    transaction: Transaction,
    passkey: RegisteredPasskey & { readonly userId: string; readonly rpId: string; readonly name: string },
  ): Promise<Date | undefined> {
    const [row] = await transaction.query<{ readonly created_at: Date }>(
      `insert into passkeys (id, user_id, rp_id, public_key, algorithm, sign_count, transports, aaguid, backup_eligible,
         backed_up, name, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp())
       on conflict (id) do nothing
       returning created_at`,
      [
        Buffer.from(passkey.id, 'base64url'),
        passkey.userId,
        passkey.rpId,
        passkey.publicKey,
        passkey.algorithm,
        passkey.signCount,
        passkey.transports,
        passkey.aaguid,
        passkey.isBackupEligible,
        passkey.isBackedUp,
        passkey.name,
      ],
    );
    return row?.created_at;
  }

  async judgePasskey(
    transaction: Transaction,
    id: Buffer,
    userId: string,
    signCount: number,
  ): Promise<PasskeyUse | undefined> {
    const [row] = await transaction.queryPrepared<PasskeyUse>(JUDGE_PASSKEY, [id, userId, signCount]);
    return row;
  }

  /** @returns the instant of the use, exact, as text; undefined when the counter has not moved */
  async usePasskey(
    transaction: Transaction,
    id: Buffer,
    userId: string,
    { signCount, isBackedUp }: { readonly signCount: number; readonly isBackedUp: boolean },
  ): Promise<string | undefined> {
    const [row] = await transaction.queryPrepared<{ readonly last_used_at: string }>(USE_PASSKEY, [
      id,
      userId,
      signCount,
      isBackedUp,
    ]);
    return row?.last_used_at;
  }

  /** @returns false when the user has no such passkey */
  async renamePasskey(connection: Connection, id: Buffer, userId: string, name: string): Promise<boolean> {
    const rows = await connection.queryPrepared(
      { name: 'rename_passkey', text: 'update passkeys set name = $3 where id = $1 and user_id = $2 returning 1' },
      [id, userId, name],
    );
    return rows.length > 0;
  }

  async deletePasskey(transaction: Transaction, id: Buffer, userId: string): Promise<void> {
    await transaction.query('delete from passkeys where id = $1 and user_id = $2', [id, userId]);
  }

  /** Counts those that no browser can use here. */
  async countForeignPasskeys(connection: Connection, rpId: string): Promise<number> {
    const [row] = await connection.queryPrepared<{ readonly count: number }>(
      { name: 'count_foreign_passkeys', text: 'select count(*)::integer as count from passkeys where rp_id <> $1' },
      [rpId],
    );
    return row?.count ?? 0;
  }
}
