import { Injectable } from '@nestjs/common';
import type { JwtAlgorithm } from '../config/config.js';
import { Database, type Transaction } from '../database/database.service.js';
import type { PublicJwk } from './keys.types.js';
import { SigningKeyEntity } from './signing-key.entity.js';

/** Any number that nothing else in this database locks. */
const KEYS_LOCK_KEY = 7_246_824_003;

/** The only place with SQL on `signing_keys`. */
@Injectable()
export class KeysRepository {
  constructor(private readonly database: Database) {}

  listKeys(): Promise<SigningKeyEntity[]> {
    return this.database.repository(SigningKeyEntity).find({ order: { createdAt: 'ASC', kid: 'ASC' } });
  }

  /** Runs `work` while no other instance can change the set of keys. */
  withKeysLocked<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.database.transaction(async (transaction) => {
      await transaction.query('select pg_advisory_xact_lock($1)', [KEYS_LOCK_KEY]);
      return work(transaction);
    });
  }

  async hasActiveKey(transaction: Transaction, algorithm: JwtAlgorithm): Promise<boolean> {
    const rows = await transaction.query(`select 1 from signing_keys where algorithm = $1 and status = 'active'`, [
      algorithm,
    ]);
    return rows.length > 0;
  }

  async insertActiveKey(
    transaction: Transaction,
    key: {
      readonly kid: string;
      readonly algorithm: JwtAlgorithm;
      readonly publicJwk: PublicJwk;
      readonly privateKeyEncrypted: Buffer;
      readonly encryptionKeyId: number;
    },
  ): Promise<void> {
    await transaction.query(
      `insert into signing_keys
         (kid, algorithm, status, public_jwk, private_key_encrypted, encryption_key_id, activated_at)
       values ($1, $2, 'active', $3, $4, $5, now())`,
      [key.kid, key.algorithm, JSON.stringify(key.publicJwk), key.privateKeyEncrypted, key.encryptionKeyId],
    );
  }
}
