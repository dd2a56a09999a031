import { createHash, createPublicKey } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { messageOf } from '../common/is-error.js';
import { ServerKeys } from '../common/server-keys.js';
import { Config } from '../config/config.js';
import { SigningKeyUnreadableError } from './keys.errors.js';
import { KeysRepository } from './keys.repository.js';
import type { JwkSet, SigningKey, VerificationKey } from './keys.types.js';
import { decryptPrivateKey, encryptPrivateKey } from './signing-key.cipher.js';
import type { SigningKeyEntity } from './signing-key.entity.js';
import { generateSigningKey } from './signing-key.generator.js';

/** How soon an instance learns of a key that another one made. */
const RELOAD_INTERVAL_MS = 10_000;

/**
 * The keys that sign and verify access tokens, in memory. They live in the database, encrypted, and are the same for
 * every instance; a request never waits for one to be loaded.
 */
@Injectable()
export class KeysService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(KeysService.name);
  private keys: ReadonlyMap<string, SigningKey> = new Map();
  private signer: SigningKey | undefined;
  private published: PublishedKeys = publish([]);
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly repository: KeysRepository,
    private readonly serverKeys: ServerKeys,
    private readonly config: Config,
  ) {}

  /** @throws SigningKeyUnreadableError when a stored key cannot be decrypted: the service does not start without it */
  async onModuleInit(): Promise<void> {
    await this.load();
    if (this.signer === undefined) {
      await this.createFirstKey();
      await this.load();
    }
    this.timer = setInterval(() => {
      this.load().catch((error: unknown) => {
        this.logger.warn({
          event: 'keys_not_reloaded',
          msg: 'the signing keys could not be reloaded',
          reason: messageOf(error),
        });
      });
    }, RELOAD_INTERVAL_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** The active key of the configured algorithm. */
  signingKey(): SigningKey {
    if (this.signer === undefined) {
      throw new Error('no signing key has been loaded');
    }
    return this.signer;
  }

  /** Looks in memory only; whatever a token names there costs no query. */
  verificationKey(kid: string): VerificationKey | undefined {
    return this.keys.get(kid);
  }

  isLoaded(): boolean {
    return this.signer !== undefined;
  }

  /** The RFC 7517 key set and the entity tag of its bytes. */
  publishedKeys(): PublishedKeys {
    return this.published;
  }

  private async load(): Promise<void> {
    const rows = await this.repository.listKeys();
    const known = this.keys;
    const keys = new Map(rows.map((row) => [row.kid, known.get(row.kid) ?? this.decrypt(row)]));
    const active = rows.find((row) => row.status === 'active' && row.algorithm === this.config.accessTokens.algorithm);
    this.keys = keys;
    this.signer = active === undefined ? undefined : keys.get(active.kid);
    this.published = publish(rows);
  }

  /** Instances that start together on an empty database end up with one key: the lock lets the first one make it. */
  private async createFirstKey(): Promise<void> {
    const { algorithm } = this.config.accessTokens;
    const { kid, privateKey, publicJwk } = await generateSigningKey(algorithm);
    await this.repository.withKeysLocked(async (transaction) => {
      if (!(await this.repository.hasActiveKey(transaction, algorithm))) {
        const { id, signingKeyEncryptionKey } = this.serverKeys.current;
        await this.repository.insertActiveKey(transaction, {
          kid,
          algorithm,
          publicJwk,
          privateKeyEncrypted: encryptPrivateKey(privateKey, kid, signingKeyEncryptionKey),
          encryptionKeyId: id,
        });
        this.logger.log({ event: 'signing_key_created', msg: 'created the first signing key', kid, algorithm });
      }
    });
  }

  private decrypt(row: SigningKeyEntity): SigningKey {
    const serverKey = this.serverKeys.find(row.encryptionKeyId);
    if (serverKey === undefined) {
      throw new SigningKeyUnreadableError(row.kid);
    }
    try {
      return {
        kid: row.kid,
        algorithm: row.algorithm,
        publicKey: createPublicKey({ key: { ...row.publicJwk }, format: 'jwk' }),
        privateKey: decryptPrivateKey(row.privateKeyEncrypted, row.kid, serverKey.signingKeyEncryptionKey),
      };
    } catch (error) {
      throw new SigningKeyUnreadableError(row.kid, { cause: error });
    }
  }
}

export interface PublishedKeys {
  /** The bytes to serve, so that the entity tag is theirs. */
  readonly body: string;
  /** A strong validator (RFC 9110 section 8.8.3), quotes included. */
  readonly entityTag: string;
}

function publish(rows: readonly SigningKeyEntity[]): PublishedKeys {
  const set: JwkSet = {
    keys: rows.map((row) => ({ ...row.publicJwk, kid: row.kid, alg: row.algorithm, use: 'sig' })),
  };
  const body = JSON.stringify(set);
  return { body, entityTag: `"${createHash('sha256').update(body).digest('base64url')}"` };
}
