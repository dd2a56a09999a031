import { createPublicKey } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { Config } from '../platform/config/config.js';
import { publish, type PublishedDocument } from '../platform/http/published-document.js';
import { KeyLifeCycleService } from './key-life-cycle.service.js';
import { type KeySettings, keySettingsOf, standsInUntil } from './key-rotation.policy.js';
import { UntrustedSigningKeyError } from './keys.errors.js';
import { KeysRepository } from './keys.repository.js';
import type { JwkSet, SigningKey, StoredKey, StoredKeys, VerificationKey } from './keys.types.js';
import { SigningKeyVault } from './signing-key.vault.js';

export const JWK_SET_MEDIA_TYPE = 'application/jwk-set+json';

/** How soon an instance learns of a key that another one created; the policy leaves time for two attempts. */
const RELOAD_INTERVAL_MS = 10_000;

/**
 * Holds in memory the keys that sign and verify access tokens. The database has them encrypted, the same for every
 * instance. A request never waits for a key to load.
 */
@Injectable()
export class KeysService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(KeysService.name);
  private readonly settings: KeySettings;
  private keys: ReadonlyMap<string, SigningKey> = new Map();
  private signer: SigningKey | undefined;
  private published = publishedSetOf([]);
  private untrusted: ReadonlySet<string> = new Set();
  private loading: Promise<unknown> = Promise.resolve();
  private readonly reloading = new Periodic(RELOAD_INTERVAL_MS, () => this.reloadQuietly());

  constructor(
    private readonly repository: KeysRepository,
    private readonly lifeCycle: KeyLifeCycleService,
    private readonly vault: SigningKeyVault,
    config: Config,
  ) {
    this.settings = keySettingsOf(config);
  }

  /**
   * @throws UntrustedSigningKeyError when a stored key cannot be decrypted or has been altered: the service does not
   *   start with it
   */
  async onModuleInit(): Promise<void> {
    await this.loadWhole();
    if (this.signer === undefined) {
      await this.lifeCycle.ensureActiveKey();
      await this.loadWhole();
    }
    this.reloading.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.reloading.stop();
  }

  /**
   * Returns the active key, whatever its algorithm. An instance that cannot decrypt it falls back to the key before it
   * for a while.
   *
   * @throws TemporarilyUnavailableError when this instance has no key to sign with
   */
  signingKey(): SigningKey {
    if (this.signer === undefined) {
      throw new TemporarilyUnavailableError('no signing key can be used');
    }
    return this.signer;
  }

  /** Looks in memory only, so a key id in a token never causes a query. */
  verificationKey(kid: string): VerificationKey | undefined {
    return this.keys.get(kid);
  }

  isLoaded(): boolean {
    return this.signer !== undefined;
  }

  /** The RFC 7517 key set. */
  publishedKeys(): PublishedDocument {
    return this.published;
  }

  /**
   * Loads the keys from the database. A new one that cannot be trusted is logged, and neither verifies nor is
   * published; one that this instance already knows stays as it is.
   */
  async reload(): Promise<void> {
    for (const error of await this.load()) {
      this.logger.error({ event: 'signing_key_untrusted', msg: error.message, kid: error.kid });
    }
  }

  private async reloadQuietly(): Promise<void> {
    try {
      await this.reload();
    } catch (error) {
      this.logger.warn({
        event: 'keys_not_reloaded',
        msg: 'reloading the signing keys failed; will retry',
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
   * Loads one at a time, so that an older view of the keys never replaces a newer one.
   *
   * @returns the errors of keys that have become unreadable since the last load
   */
  private load(): Promise<readonly UntrustedSigningKeyError[]> {
    const loaded = this.loading.then(async () => this.take(await this.repository.readKeys()));
    this.loading = loaded.catch(() => undefined);
    return loaded;
  }

  private take(stored: StoredKeys): readonly UntrustedSigningKeyError[] {
    const trusted: SigningKey[] = [];
    const errors: UntrustedSigningKeyError[] = [];
    for (const row of stored.keys) {
      try {
        trusted.push(this.keys.get(row.kid) ?? this.open(row));
      } catch (error) {
        if (!(error instanceof UntrustedSigningKeyError)) {
          throw error;
        }
        errors.push(error);
      }
    }
    const fresh = errors.filter(({ kid }) => !this.untrusted.has(kid));
    this.keys = new Map(trusted.map((key) => [key.kid, key]));
    this.signer = this.chooseSigner(stored);
    this.published = publishedSetOf(trusted);
    this.untrusted = new Set(errors.map(({ kid }) => kid));
    return fresh;
  }

  private open(row: StoredKey): SigningKey {
    const privateKey = this.vault.open(row);
    const { kid, algorithm, publicJwk } = row;
    return {
      kid,
      algorithm,
      publicJwk,
      publicKey: createPublicKey({ key: { ...publicJwk }, format: 'jwk' }),
      privateKey,
    };
  }

  private chooseSigner({ keys, readAt }: StoredKeys): SigningKey | undefined {
    const active = keys.find(({ status }) => status === 'active');
    const loaded = active === undefined ? undefined : this.keys.get(active.kid);
    if (loaded !== undefined) {
      return loaded;
    }
    const before = keys.find(({ kid }) => kid === this.signer?.kid);
    return before !== undefined && readAt < standsInUntil(before, this.settings) ? this.signer : undefined;
  }
}

function publishedSetOf(trusted: readonly VerificationKey[]): PublishedDocument {
  const set: JwkSet = {
    keys: trusted.map(({ publicJwk, kid, algorithm }) => ({ ...publicJwk, kid, alg: algorithm, use: 'sig' })),
  };
  return publish(JWK_SET_MEDIA_TYPE, JSON.stringify(set));
}
