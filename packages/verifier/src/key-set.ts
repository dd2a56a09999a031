import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { type Algorithm, isAlgorithm } from './access-token.format.js';
import { TemporarilyUnavailableError } from './errors.js';
import type { EventSink } from './events.js';
import { backoffMs, getJson, type JsonAnswer, reasonOf } from './json-source.js';
import type { Runtime } from './runtime.js';

/** A key serves the one algorithm that stands beside it in the set (RFC 8725 section 3.1). */
export interface VerificationKey {
  readonly algorithm: Algorithm;
  readonly publicKey: KeyObject;
}

/** Bounds for `max-age` of `Cache-Control`, and the value without one. */
const FRESHNESS_SECONDS = { least: 30, usual: 300, most: 3_600 };

/**
 * How long the last keys are used while none can be fetched. The service publishes a key for a day before it signs and
 * for a day after its last token (docs/gateways.md, "Life of a signing key"), so a cache of a day is right.
 */
const USABLE_SECONDS = 86_400;

/** Unknown key ids, which anyone can make up, cause at most one request in this time, and each of them in the other. */
const LOOK_UP_INTERVAL_MS = 5_000;
const LOOK_UP_COOLDOWN_MS = 30_000;

/** How many unknown key ids are remembered. Another one costs a look-up too many, within the bound above. */
const MOST_ABSENT_KIDS = 1_000;

/** The service publishes at most eleven keys, each well below 1 KiB. */
const LONGEST_SET_BYTES = 65_536;

const LEAST_RSA_BITS = 2_048;

/** With an exponent of 1 every text is its own signature, and small ones are fragile. */
const LEAST_RSA_EXPONENT = 65_537n;

const TIMEOUT_MS = 3_000;
const LONGEST_BACKOFF_MS = 10_000;

/**
 * Keeps the issuer's keys in memory. Fetches them again in the background before they are stale, and when a token names
 * an unknown key: at most every 5 s, and every 30 s for the same one. ADR 17 says why this is our own.
 */
export class KeySet {
  private keys: ReadonlyMap<string, VerificationKey> = new Map();
  private entityTag: string | undefined;
  private freshForMs = FRESHNESS_SECONDS.usual * 1000;
  private loadedAtMs = Number.NEGATIVE_INFINITY;
  private lookedUpAtMs = Number.NEGATIVE_INFINITY;
  /** Key id → when the set was found not to hold it, the oldest first. */
  private readonly absentSinceMs = new Map<string, number>();
  /** Why the last request failed, if it did. */
  private failure: string | undefined;
  private loading: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly algorithms: readonly Algorithm[],
    private readonly runtime: Runtime,
    private readonly tell: EventSink,
  ) {}

  /** Resolves when closed. */
  async keepFresh(closing: AbortSignal): Promise<void> {
    for (let failures = 0; !closing.aborted;) {
      await this.load(closing);
      failures = this.failure === undefined ? 0 : failures + 1;
      const pauseMs =
        failures > 0
          ? backoffMs(failures, LONGEST_BACKOFF_MS, this.runtime.random())
          : this.freshForMs * (0.7 + 0.2 * this.runtime.random());
      await this.runtime.pause(pauseMs, closing);
    }
  }

  /**
   * @param kid from the token, unverified; it is only compared
   * @returns undefined when the issuer has no such key
   * @throws TemporarilyUnavailableError when the issuer cannot be asked, or was asked for another key too recently: the
   *   token may be good
   */
  async find(kid: string, closing: AbortSignal): Promise<VerificationKey | undefined> {
    if (!this.isUsable()) {
      await this.loading;
    } else if (!this.keys.has(kid)) {
      await this.lookUp(kid, closing);
    }
    if (!this.isUsable()) {
      throw new TemporarilyUnavailableError('no keys have been loaded for a day, or ever');
    }
    const key = this.keys.get(kid);
    if (key === undefined && this.failure !== undefined) {
      throw new TemporarilyUnavailableError('an unknown key id, and the keys cannot be loaded');
    }
    return key;
  }

  isUsable(): boolean {
    return this.ageSeconds() <= USABLE_SECONDS;
  }

  /** Seconds since the start of the last request that returned the keys or confirmed them. */
  ageSeconds(): number {
    return (this.runtime.monotonicMs() - this.loadedAtMs) / 1000;
  }

  /** Returns why the last request failed; undefined after one that succeeded. */
  get lastFailure(): string | undefined {
    return this.failure;
  }

  get kids(): readonly string[] {
    return [...this.keys.keys()];
  }

  /** A request under way may have been sent before the key was published, so it does not count as the look-up. */
  private async lookUp(kid: string, closing: AbortSignal): Promise<void> {
    await this.loading;
    const nowMs = this.runtime.monotonicMs();
    if (this.keys.has(kid) || nowMs - (this.absentSinceMs.get(kid) ?? -Infinity) < LOOK_UP_COOLDOWN_MS) {
      return;
    }
    if (nowMs - this.lookedUpAtMs >= LOOK_UP_INTERVAL_MS) {
      this.lookedUpAtMs = nowMs;
      void this.load(closing);
    } else if (this.loading === undefined) {
      throw new TemporarilyUnavailableError('an unknown key id, and the keys have just been looked up for another');
    }
    await this.loading;
    if (this.failure === undefined && !this.keys.has(kid)) {
      this.rememberAbsent(kid, nowMs);
    }
  }

  private rememberAbsent(kid: string, nowMs: number): void {
    this.absentSinceMs.delete(kid);
    this.absentSinceMs.set(kid, nowMs);
    if (this.absentSinceMs.size > MOST_ABSENT_KIDS) {
      const [oldest = ''] = this.absentSinceMs.keys();
      this.absentSinceMs.delete(oldest);
    }
  }

  /** Runs one request at a time; callers that come meanwhile share its result. */
  private load(closing: AbortSignal): Promise<void> {
    this.loading ??= this.request(closing).finally(() => {
      this.loading = undefined;
    });
    return this.loading;
  }

  private async request(closing: AbortSignal): Promise<void> {
    const askedAtMs = this.runtime.monotonicMs();
    try {
      const answer = await getJson(this.runtime, this.url, {
        headers: this.entityTag === undefined ? {} : { 'if-none-match': this.entityTag },
        timeoutMs: TIMEOUT_MS,
        mostBytes: LONGEST_SET_BYTES,
        closing,
      });
      this.take(answer);
      this.freshForMs = freshnessSeconds(answer.header('cache-control')) * 1000;
      this.loadedAtMs = askedAtMs;
      this.failure = undefined;
    } catch (error) {
      this.failure = reasonOf(error);
      if (!closing.aborted) {
        this.tell({ event: 'keys_not_loaded', reason: this.failure });
      }
    }
  }

  private take(answer: JsonAnswer): void {
    if (answer.status === 304 && this.entityTag !== undefined) {
      return;
    }
    if (answer.status !== 200) {
      throw new Error(`${this.url} answered ${answer.status}`);
    }
    const set = listOf(answer.body);
    if (this.runtime.isProduction && set.some((jwk) => jwk['ratchet_test'] === true)) {
      throw new Error(`${this.url} holds keys of Ratchet's test kit, which are refused while NODE_ENV is production`);
    }
    const keys = this.import(set);
    if (keys.size === 0) {
      throw new Error(`${this.url} holds no key for ${this.algorithms.join(' or ')}`);
    }
    const isChanged = keys.size !== this.keys.size || [...keys.keys()].some((kid) => !this.keys.has(kid));
    this.keys = keys;
    this.entityTag = answer.header('etag');
    if (isChanged) {
      this.tell({ event: 'keys_changed', kids: this.kids });
    }
  }

  /** Leaves out keys that cannot verify a token: the set may come to hold other kinds. */
  private import(set: readonly Jwk[]): Map<string, VerificationKey> {
    const keys = new Map<string, VerificationKey>();
    for (const jwk of set) {
      const { kid, alg: algorithm } = jwk;
      if (isAlgorithm(algorithm) && this.algorithms.includes(algorithm) && typeof kid === 'string' && !keys.has(kid)) {
        const publicKey = isForSignatures(jwk) ? importPublicKey(jwk, algorithm) : undefined;
        if (publicKey !== undefined) {
          keys.set(kid, { algorithm, publicKey });
        }
      }
    }
    return keys;
  }
}

/** RFC 7517 sections 4.2 and 4.3. */
function isForSignatures({ use = 'sig', key_ops: operations = ['verify'] }: Jwk): boolean {
  return use === 'sig' && Array.isArray(operations) && operations.includes('verify');
}

/** Reads the members of a public key only, whatever else the JWK holds. */
function importPublicKey({ kty, crv, x, y, n, e }: Jwk, algorithm: Algorithm): KeyObject | undefined {
  const members = algorithm === 'ES256' ? { kty: 'EC', crv, x, y } : { kty: 'RSA', n, e };
  if (kty !== members.kty || Object.values(members).some((member) => typeof member !== 'string')) {
    return undefined;
  }
  try {
    const key = createPublicKey({ key: members as JsonWebKey, format: 'jwk' });
    return isStrong(key, algorithm) ? key : undefined;
  } catch {
    return undefined;
  }
}

function isStrong({ asymmetricKeyDetails = {} }: KeyObject, algorithm: Algorithm): boolean {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails;
  return algorithm === 'ES256'
    ? namedCurve === 'prime256v1'
    : modulusLength >= LEAST_RSA_BITS && publicExponent >= LEAST_RSA_EXPONENT;
}

type Jwk = Readonly<Record<string, unknown>>;

function listOf(set: unknown): readonly Jwk[] {
  const keys: unknown = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : undefined;
  if (!Array.isArray(keys)) {
    throw new Error('not a JWK Set');
  }
  return keys.filter((key): key is Record<string, unknown> => typeof key === 'object' && key !== null);
}

function freshnessSeconds(cacheControl = ''): number {
  const maxAge = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,;])/i.exec(cacheControl)?.[1];
  const { least, usual, most } = FRESHNESS_SECONDS;
  return Math.min(most, Math.max(least, maxAge === undefined ? usual : Number(maxAge)));
}
