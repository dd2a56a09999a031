import { Injectable } from '@nestjs/common';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { LOCKS } from '../platform/database/locks.js';
import type { StoredKey, StoredKeys } from './keys.types.js';

/** Joins the keys to the clock, so that one query returns the time even when there is no key. */
const READ_KEYS = `
  select clock.read_at as "readAt", kid, algorithm, status, public_jwk as "publicJwk",
    private_key_encrypted as "privateKeyEncrypted", encryption_key_id as "encryptionKeyId",
    created_at as "createdAt", activated_at as "activatedAt", retiring_at as "retiringAt"
  from (select clock_timestamp() as read_at) as clock left join signing_keys on true
  order by created_at, kid`;

type KeyOrNone = StoredKey | { readonly kid: null };

/** The only place with SQL on `signing_keys`. Every change holds one lock and carries the time of the database. */
@Injectable()
export class KeysRepository {
  constructor(private readonly database: DatabaseService) {}

  async readKeys(from: Transaction = this.database): Promise<StoredKeys> {
    const rows = await from.query<KeyOrNone & { readonly readAt: Date }>(READ_KEYS);
    const [first] = rows;
    if (first === undefined) {
      throw new Error('the database returned no time');
    }
    return { keys: rows.filter((row) => row.kid !== null), readAt: first.readAt };
  }

  /** Runs `work` while no other instance can change the set of keys; waits for one that does. */
  withKeysLocked<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.database.transaction(async (transaction) => {
      await transaction.query('select pg_advisory_xact_lock($1)', [LOCKS.signingKeys]);
      return work(transaction);
    });
  }

  /**
   * Like `withKeysLocked`, but does not wait for another instance.
   *
   * @returns undefined when another instance holds the lock
   */
  tryWithKeysLocked<T>(work: (transaction: Transaction) => Promise<T>): Promise<T | undefined> {
    return this.database.tryWithLock(LOCKS.signingKeys, work);
  }

  async insertNextKey(
    transaction: Transaction,
    key: Pick<StoredKey, 'kid' | 'algorithm' | 'publicJwk' | 'privateKeyEncrypted' | 'encryptionKeyId'>,
    at: Date,
  ): Promise<void> {
    await transaction.query(
      `insert into signing_keys
         (kid, algorithm, status, public_jwk, private_key_encrypted, encryption_key_id, created_at)
       values ($1, $2, 'next', $3, $4, $5, $6)`,
      [key.kid, key.algorithm, JSON.stringify(key.publicJwk), key.privateKeyEncrypted, key.encryptionKeyId, at],
    );
  }

  /** Retires the active key first, because only one key may sign. */
  async activateKey(transaction: Transaction, kid: string, at: Date): Promise<void> {
    await transaction.query(`update signing_keys set status = 'retiring', retiring_at = $1 where status = 'active'`, [
      at,
    ]);
    await transaction.query(`update signing_keys set status = 'active', activated_at = $2 where kid = $1`, [kid, at]);
  }

  /**
   * Settles when a `next` key signs and, in the same instant, which key leaves. The rows carry both from the same commit
   * on, and each instance follows them by itself.
   */
  async scheduleSwitch(
    transaction: Transaction,
    incomingKid: string,
    outgoingKid: string | undefined,
    at: Date,
  ): Promise<void> {
    await transaction.query('update signing_keys set activated_at = $2 where kid = $1', [incomingKid, at]);
    await transaction.query('update signing_keys set retiring_at = $2 where kid = $1', [outgoingKid ?? null, at]);
  }

  async withdrawKey(transaction: Transaction, kid: string, at: Date): Promise<void> {
    await transaction.query(`update signing_keys set status = 'retiring', retiring_at = $2 where kid = $1`, [kid, at]);
  }

  async deleteKey(transaction: Transaction, kid: string): Promise<void> {
    await transaction.query('delete from signing_keys where kid = $1', [kid]);
  }

  async replacePrivateKey(
    transaction: Transaction,
    kid: string,
    sealed: Pick<StoredKey, 'privateKeyEncrypted' | 'encryptionKeyId'>,
  ): Promise<void> {
    await transaction.query(
      'update signing_keys set private_key_encrypted = $2, encryption_key_id = $3 where kid = $1',
      [kid, sealed.privateKeyEncrypted, sealed.encryptionKeyId],
    );
  }
}
