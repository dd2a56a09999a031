import { createPublicKey } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { Config, type JwtAlgorithm } from '../platform/config/config.js';
import { DatabaseClock } from '../platform/database/database-clock.js';
import { publish, type PublishedDocument } from '../platform/http/published-document.js';
import { afterTransition } from './key-forecast.js';
import { KeyLifeCycleService } from './key-life-cycle.service.js';
import {
  type KeySettings,
  keySettingsOf,
  RELOAD_SECONDS,
  standsInUntil,
  SWITCH_MARGIN_MS,
  switchIn,
} from './key-rotation.policy.js';
import { UntrustedSigningKeyError } from './keys.errors.js';
import { KeysRepository } from './keys.repository.js';
import type { JwkSet, KeyRecord, KeySwitch, SigningKey, StoredKey, StoredKeys, VerificationKey } from './keys.types.js';
import { SigningKeyVault } from './signing-key.vault.js';

export const JWK_SET_MEDIA_TYPE = 'application/jwk-set+json';

/** The keys that verify and are published, and the one that signs. */
interface KeyRing {
  readonly keys: ReadonlyMap<string, SigningKey>;
  readonly signer: SigningKey | undefined;
  readonly published: PublishedDocument;
}

/**
 * Holds in memory the keys that sign and verify access tokens. The database has them encrypted, the same for every
 * instance. A request never waits for a key to load. A switch that the rows carry is made at its instant of the database's
 * clock, without a query.
 */
@Injectable()
export class KeysService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(KeysService.name);
  private readonly settings: KeySettings;
  private ring = ringOf([], undefined);
  private upcoming: { readonly settled: KeySwitch; readonly ring: KeyRing } | undefined;
  private untrusted: ReadonlySet<string> = new Set();
  private loading: Promise<unknown> = Promise.resolve();
  private readonly reloading = new Periodic(RELOAD_SECONDS * 1_000, () => this.reloadQuietly());

  constructor(
    private readonly repository: KeysRepository,
    private readonly lifeCycle: KeyLifeCycleService,
    private readonly vault: SigningKeyVault,
    private readonly clock: DatabaseClock,
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
    if (!this.isLoaded()) {
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
    const { signer } = this.current();
    if (signer === undefined) {
      throw new TemporarilyUnavailableError('no signing key can be used');
    }
    return signer;
  }

  /**
   * Await it before a token is signed. It resolves at once, except within half a second of the instant at which a stolen
   * key leaves: then after that, so that instances whose clocks differ a little agree on the order.
   */
  async whenSettled(): Promise<void> {
    for (let ms = this.unsettledMs(); ms > 0; ms = this.unsettledMs()) {
      await pause(ms);
    }
  }

  /** Looks in memory only, so a key id in a token never causes a query. */
  verificationKey(kid: string): VerificationKey | undefined {
    return this.current().keys.get(kid);
  }

  isLoaded(): boolean {
    return this.current().signer !== undefined;
  }

  /** The RFC 7517 key set. */
  publishedKeys(): PublishedDocument {
    return this.current().published;
  }

  /** Those of the published keys: while the algorithm changes, two. */
  publishedAlgorithms(): readonly JwtAlgorithm[] {
    return [...new Set([...this.current().keys.values()].map(({ algorithm }) => algorithm))];
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
        trusted.push(this.ring.keys.get(row.kid) ?? this.open(row));
      } catch (error) {
        if (!(error instanceof UntrustedSigningKeyError)) {
          throw error;
        }
        errors.push(error);
      }
    }
    const fresh = errors.filter(({ kid }) => !this.untrusted.has(kid));
    const { signer } = this.current();
    const ringFor = (records: readonly KeyRecord[]): KeyRing => {
      const kept = trusted.filter(({ kid }) => records.some((record) => record.kid === kid));
      return ringOf(kept, this.chooseSigner(records, stored.readAt, kept, signer));
    };
    const settled = switchIn(stored.keys);
    this.ring = ringFor(stored.keys);
    this.upcoming = settled && {
      settled,
      ring: ringFor(afterTransition(stored.keys, { kind: 'switch', to: settled }, settled.at, '')),
    };
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

  private chooseSigner(
    records: readonly KeyRecord[],
    readAt: Date,
    trusted: readonly SigningKey[],
    signer: SigningKey | undefined,
  ): SigningKey | undefined {
    const active = records.find(({ status }) => status === 'active');
    const loaded = trusted.find(({ kid }) => kid === active?.kid);
    if (loaded !== undefined) {
      return loaded;
    }
    const before = records.find(({ kid }) => kid === signer?.kid);
    return before !== undefined && readAt < standsInUntil(before, this.settings) ? signer : undefined;
  }

  private current(): KeyRing {
    const { upcoming } = this;
    return upcoming !== undefined && this.msSince(upcoming.settled.at) >= 0 ? upcoming.ring : this.ring;
  }

  private unsettledMs(): number {
    const { upcoming } = this;
    if (upcoming === undefined || upcoming.settled.outgoing.length === 0) {
      return 0;
    }
    const sinceMs = this.msSince(upcoming.settled.at);
    return Math.abs(sinceMs) < SWITCH_MARGIN_MS ? SWITCH_MARGIN_MS - sinceMs : 0;
  }

  private msSince(instant: Date): number {
    return this.clock.nowSeconds() * 1_000 - instant.getTime();
  }
}

function ringOf(trusted: readonly SigningKey[], signer: SigningKey | undefined): KeyRing {
  return { keys: new Map(trusted.map((key) => [key.kid, key])), signer, published: publishedSetOf(trusted) };
}

function publishedSetOf(trusted: readonly VerificationKey[]): PublishedDocument {
  const set: JwkSet = {
    keys: trusted.map(({ publicJwk, kid, algorithm }) => ({ ...publicJwk, kid, alg: algorithm, use: 'sig' })),
  };
  return publish(JWK_SET_MEDIA_TYPE, JSON.stringify(set));
}
