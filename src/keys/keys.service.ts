import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../common/domain.errors.js';
import { messageOf } from '../common/is-error.js';
import { Config } from '../config/config.js';
import { KeyLifeCycle } from './key-life-cycle.service.js';
import { type KeySettings, keySettingsOf, standsInUntil } from './key-rotation.policy.js';
import { SigningKeyUnreadableError } from './keys.errors.js';
import { KeysRepository } from './keys.repository.js';
import type { JwkSet, SigningKey, StoredKey, StoredKeys, VerificationKey } from './keys.types.js';
import { SigningKeyVault } from './signing-key.vault.js';

/** How soon an instance learns of a key that another one made; the policy gives it time for two attempts. */
const RELOAD_INTERVAL_MS = 10_000;

/** The private half is missing while no configured secret decrypts it; nobody needs it to verify. */
type LoadedKey = VerificationKey & { readonly privateKey?: KeyObject };

/**
 * The keys that sign and verify access tokens, in memory. They live in the database, encrypted, and are the same for
 * every instance; a request never waits for one to be loaded.
 */
@Injectable()
export class KeysService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(KeysService.name);
  private readonly settings: KeySettings;
  private keys: ReadonlyMap<string, LoadedKey> = new Map();
  private signer: SigningKey | undefined;
  private published: PublishedKeys = publish([]);
  private unreadable: ReadonlySet<string> = new Set();
  private loading: Promise<unknown> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly repository: KeysRepository,
    private readonly lifeCycle: KeyLifeCycle,
    private readonly vault: SigningKeyVault,
    config: Config,
  ) {
    this.settings = keySettingsOf(config);
  }

  /** @throws SigningKeyUnreadableError when a stored key cannot be decrypted: the service does not start without it */
  async onModuleInit(): Promise<void> {
    await this.loadWhole();
    if (this.signer === undefined) {
      await this.lifeCycle.ensureActiveKey();
      await this.loadWhole();
    }
    this.timer = setInterval(() => {
      void this.reloadQuietly();
    }, RELOAD_INTERVAL_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /**
   * The active key, whatever its algorithm. Where this instance cannot decrypt that one, the key before it for a while.
   *
   * @throws TemporarilyUnavailableError when there is none that this instance can sign with
   */
  signingKey(): SigningKey {
    if (this.signer === undefined) {
      throw new TemporarilyUnavailableError('no signing key can be used');
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

  /**
   * Takes over the keys as they are in the database. A key that cannot be decrypted is logged, verifies and is published
   * all the same, and does not sign.
   */
  async reload(): Promise<void> {
    for (const error of await this.load()) {
      this.logger.error({ event: 'signing_key_unreadable', msg: error.message, kid: error.kid });
    }
  }

  private async reloadQuietly(): Promise<void> {
    try {
      await this.reload();
    } catch (error) {
      this.logger.warn({
        event: 'keys_not_reloaded',
        msg: 'the signing keys could not be reloaded',
        reason: messageOf(error),
      });
    }
  }

  private async loadWhole(): Promise<void> {
    const [error] = await this.load();
    if (error !== undefined) {
      throw error;
    }
  }

  /**
   * One at a time, so that an older view of the keys never takes the place of a newer one.
   *
   * @returns what has become unreadable since the last time
   */
  private load(): Promise<readonly SigningKeyUnreadableError[]> {
    const loaded = this.loading.then(async () => this.take(await this.repository.readKeys()));
    this.loading = loaded.catch(() => undefined);
    return loaded;
  }

  private take(stored: StoredKeys): readonly SigningKeyUnreadableError[] {
    const opened = stored.keys.map((row) => this.open(row));
    const errors = opened.flatMap(({ error }) => (error === undefined ? [] : [error]));
    const fresh = errors.filter(({ kid }) => !this.unreadable.has(kid));
    this.keys = new Map(opened.map(({ key }) => [key.kid, key]));
    this.signer = this.chooseSigner(stored);
    this.published = publish(stored.keys);
    this.unreadable = new Set(errors.map(({ kid }) => kid));
    return fresh;
  }

  private open(row: StoredKey): { readonly key: LoadedKey; readonly error?: SigningKeyUnreadableError } {
    const known = this.keys.get(row.kid);
    if (known?.privateKey !== undefined) {
      return { key: known };
    }
    const { kid, algorithm } = row;
    const publicKey = createPublicKey({ key: { ...row.publicJwk }, format: 'jwk' });
    try {
      return { key: { kid, algorithm, publicKey, privateKey: this.vault.open(row) } };
    } catch (error) {
      if (error instanceof SigningKeyUnreadableError) {
        return { key: { kid, algorithm, publicKey }, error };
      }
      throw error;
    }
  }

  private chooseSigner({ keys, readAt }: StoredKeys): SigningKey | undefined {
    const active = keys.find(({ status }) => status === 'active');
    const loaded = active === undefined ? undefined : this.keys.get(active.kid);
    if (loaded !== undefined && isSigningKey(loaded)) {
      return loaded;
    }
    const before = keys.find(({ kid }) => kid === this.signer?.kid);
    return before !== undefined && readAt < standsInUntil(before, this.settings) ? this.signer : undefined;
  }
}

function isSigningKey(key: LoadedKey): key is SigningKey {
  return key.privateKey !== undefined;
}

export interface PublishedKeys {
  /** The bytes to serve, so that the entity tag is theirs. */
  readonly body: string;
  /** A strong validator (RFC 9110 section 8.8.3), quotes included. */
  readonly entityTag: string;
}

function publish(rows: readonly StoredKey[]): PublishedKeys {
  const set: JwkSet = {
    keys: rows.map((row) => ({ ...row.publicJwk, kid: row.kid, alg: row.algorithm, use: 'sig' })),
  };
  const body = JSON.stringify(set);
  return { body, entityTag: `"${createHash('sha256').update(body).digest('base64url')}"` };
}
