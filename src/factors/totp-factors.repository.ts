import { Injectable } from '@nestjs/common';
import type { Connection, PreparedStatement, Transaction } from '../platform/database/database.service.js';

/** A secret as it is stored. */
export interface SealedSecret {
  readonly secretEncrypted: Buffer;
  readonly encryptionKeyId: number;
}

export interface StoredTotp extends SealedSecret {
  readonly id: string;
  readonly userId: string;
}

export interface TotpAtNow extends StoredTotp {
  /** The time step of the newest code that was accepted. */
  readonly lastStep: number;
  /** As the database writes it, to the microsecond: names one use. */
  readonly lastUsedAt: string | null;
  readonly createdAtSeconds: number;
  /** By the database's clock, under the lock on the user's row. */
  readonly nowSeconds: number;
}

const COLUMNS = `id, user_id as "userId", secret_encrypted as "secretEncrypted", encryption_key_id as "encryptionKeyId"`;

const AT_NOW = `
  select ${COLUMNS}, last_step::float8 as "lastStep", last_used_at::text as "lastUsedAt",
    extract(epoch from created_at)::float8 as "createdAtSeconds",
    extract(epoch from clock_timestamp())::float8 as "nowSeconds"
  from totp_factors`;

const FIND_CONFIRMED: PreparedStatement = {
  name: 'find_confirmed_totp',
  text: `${AT_NOW} where user_id = $1 and confirmed_at is not null`,
};

/** Accepts a step once: of all transactions that show a code of it, only the first finds an earlier one. */
const USE_STEP: PreparedStatement = {
  name: 'use_totp_step',
  text: `
    update totp_factors set last_step = $2, last_used_at = clock_timestamp()
    where id = $1 and last_step < $2
    returning last_used_at::text as "lastUsedAt"`,
};

/** Holds the only SQL on `totp_factors` that does not remove factors of all kinds. */
@Injectable()
export class TotpFactorsRepository {
  /** Finds the factor that a user has confirmed. The caller holds the user's row. */
  async findConfirmed(transaction: Transaction, userId: string): Promise<TotpAtNow | undefined> {
    const [found] = await transaction.queryPrepared<TotpAtNow>(FIND_CONFIRMED, [userId]);
    return found;
  }

  /** Finds the secret that a user has asked for, and not confirmed, within so many seconds. */
  async findUnconfirmed(
    transaction: Transaction,
    userId: string,
    withinSeconds: number,
  ): Promise<TotpAtNow | undefined> {
    const [found] = await transaction.query<TotpAtNow>(
      `${AT_NOW}
       where user_id = $1 and confirmed_at is null and created_at > clock_timestamp() - make_interval(secs => $2)`,
      [userId, withinSeconds],
    );
    return found;
  }

  /** Returns when the confirmed factor was confirmed and last used, for its owner to read. */
  async describe(
    connection: Connection & Pick<Transaction, 'query'>,
    userId: string,
  ): Promise<{ readonly createdAt: Date; readonly lastUsedAt: Date | null } | undefined> {
    const [found] = await connection.query<{ createdAt: Date; lastUsedAt: Date | null }>(
      `select confirmed_at as "createdAt", last_used_at as "lastUsedAt" from totp_factors
       where user_id = $1 and confirmed_at is not null`,
      [userId],
    );
    return found;
  }

  /** Replaces the unconfirmed secret of a user, if there is one; idempotent per id. */
  async replaceUnconfirmed(transaction: Transaction, { id, userId, ...sealed }: StoredTotp): Promise<void> {
    await transaction.query('delete from totp_factors where user_id = $1 and id <> $2 and confirmed_at is null', [
      userId,
      id,
    ]);
    await transaction.query(
      `insert into totp_factors (id, user_id, secret_encrypted, encryption_key_id, created_at)
       values ($1, $2, $3, $4, clock_timestamp())
       on conflict (id) do nothing`,
      [id, userId, sealed.secretEncrypted, sealed.encryptionKeyId],
    );
  }

  /** Makes a factor of an unconfirmed secret, in place of the one that the user had; the step counts as used. */
  async confirm(transaction: Transaction, { id, userId }: Pick<StoredTotp, 'id' | 'userId'>): Promise<void> {
    await transaction.query('delete from totp_factors where user_id = $1 and id <> $2', [userId, id]);
    await transaction.query('update totp_factors set confirmed_at = clock_timestamp() where id = $1', [id]);
  }

  /**
   * Uses up the codes of a step and of all steps before it.
   *
   * @returns the instant that names this use; undefined when the step had been used
   */
  async useStep(transaction: Transaction, id: string, step: number): Promise<string | undefined> {
    const [used] = await transaction.queryPrepared<{ lastUsedAt: string }>(USE_STEP, [id, step]);
    return used?.lastUsedAt;
  }

  /** Removes the factor of a user, and a secret that is not confirmed. */
  async remove(transaction: Transaction, userId: string): Promise<void> {
    await transaction.query('delete from totp_factors where user_id = $1', [userId]);
  }

  /** Returns up to so many secrets that are encrypted under another key, in the order of their ids. */
  async findUnderOtherKeys(
    connection: Pick<Transaction, 'query'>,
    { keyId, afterId, limit }: { readonly keyId: number; readonly afterId: string; readonly limit: number },
  ): Promise<readonly StoredTotp[]> {
    return connection.query<StoredTotp>(
      `select ${COLUMNS} from totp_factors
       where encryption_key_id <> $1 and id > $2
       order by id
       limit $3`,
      [keyId, afterId, limit],
    );
  }

  async count(connection: Pick<Transaction, 'query'>): Promise<number> {
    const [row] = await connection.query<{ count: number }>('select count(*)::float8 as count from totp_factors');
    return row?.count ?? 0;
  }

  /**
   * Stores a secret under another key, unless that has happened meanwhile.
   *
   * @returns whether it was stored
   */
  async replaceSecret(
    connection: Pick<Transaction, 'query'>,
    { id, encryptionKeyId: formerKeyId }: StoredTotp,
    sealed: SealedSecret,
  ): Promise<boolean> {
    const rows = await connection.query(
      `update totp_factors set secret_encrypted = $3, encryption_key_id = $4
       where id = $1 and encryption_key_id = $2
       returning id`,
      [id, formerKeyId, sealed.secretEncrypted, sealed.encryptionKeyId],
    );
    return rows.length > 0;
  }
}
