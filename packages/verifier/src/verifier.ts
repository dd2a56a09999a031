import { verify } from 'node:crypto';
import { type AccessToken, parseClaims, readClaims, readHeader } from './access-token.format.js';
import { readAccessToken } from './access-cookie.js';
import type { FetchHeaders, FetchRequest, NodeRequest } from './bearer-token.js';
import {
  AccessTokenExpiredError,
  AccessTokenInvalidError,
  AccessTokenRevokedError,
  InsufficientRoleError,
  IssuerMismatchError,
  TemporarilyUnavailableError,
  VerificationError,
} from './errors.js';
import { type EventSink, tellLater } from './events.js';
import { getJson } from './json-source.js';
import { KeySet, type VerificationKey } from './key-set.js';
import { readOptions, type Settings, type VerifierOptions } from './options.js';
import { RevocationFollower } from './revocation-follower.js';
import { processRuntime, type Runtime } from './runtime.js';

export interface VerifierState {
  readonly keys: { readonly kids: readonly string[]; readonly ageSeconds: number; readonly isUsable: boolean };
  /** Undefined when revocations are not followed. An age is infinite until something has been loaded. */
  readonly revocations?: { readonly sessions: number; readonly ageSeconds: number; readonly isStale: boolean };
}

const READY_POLL_MS = 10;
const METADATA_TIMEOUT_MS = 3_000;
const LONGEST_METADATA_BYTES = 65_536;

/** Bounds a claim that is told to an operator. */
const LONGEST_TOLD_CHARACTERS = 200;

/**
 * Verifies access tokens in memory. A request waits for the service only if its token names a key that is not known
 * yet. In Nest the class is also the token to inject it by; a test replaces it by an object with `verifyRequest`.
 */
export class Verifier {
  private readonly closing = new AbortController();
  private readonly keys: KeySet;
  private readonly follower: RevocationFollower | undefined;
  private readonly tell: EventSink;

  /** Use `createVerifier`. Starts to load keys and revocations. */
  constructor(
    private readonly settings: Settings,
    private readonly runtime: Runtime,
    onEvent: VerifierOptions['onEvent'],
  ) {
    const tell = tellLater(onEvent);
    this.tell = tell;
    const { jwksUrl, algorithms, following } = settings;
    this.keys = new KeySet(jwksUrl, algorithms, runtime, tell);
    this.follower = following && new RevocationFollower(following.url, following.maxStalenessSeconds, runtime, tell);
    void this.keys.keepFresh(this.closing.signal);
    void this.follower?.follow(this.closing.signal);
  }

  /**
   * Resolves when the keys and, if revocations are followed, the whole list of them are loaded. Await it before the
   * backend takes requests; until then, requests are answered 503 or accepted, as `whenFeedIsStale` says.
   *
   * @throws TemporarilyUnavailableError when that takes longer; loading continues
   * @throws IssuerMismatchError when the service says that it is another issuer
   */
  async ready({ withinSeconds = 30 }: { readonly withinSeconds?: number } = {}): Promise<void> {
    const giveUpAtMs = this.runtime.monotonicMs() + withinSeconds * 1000;
    while (!this.keys.isUsable() || this.follower?.isLoaded() === false) {
      if (this.runtime.monotonicMs() >= giveUpAtMs || this.closing.signal.aborted) {
        const because = this.keys.lastFailure === undefined ? '' : `: ${this.keys.lastFailure}`;
        throw new TemporarilyUnavailableError(
          `keys or revocations were not loaded within ${withinSeconds} s${because}`,
        );
      }
      // Nothing else may keep the process alive between two attempts.
      await this.runtime.pause(READY_POLL_MS, this.closing.signal, { isAwaitedByCaller: true });
    }
    await this.requireSameIssuer();
  }

  /**
   * @param token the text after `Bearer`; whatever it is, only the errors below are thrown
   * @throws AccessTokenInvalidError, AccessTokenExpiredError, AccessTokenRevokedError
   * @throws TemporarilyUnavailableError when there are no keys, or the feed is stale and `whenFeedIsStale` is `reject`
   */
  async verify(token: string): Promise<AccessToken> {
    return this.telling(() => this.judge(token));
  }

  /**
   * Verifies the token of a request: Node's, Express's, `request.raw` of Fastify, or a Fetch request or its `Headers`. With
   * `cookieName`, `Headers` alone count as those of a request that may change something.
   *
   * @throws AccessTokenMissingError, CrossSiteRequestError, and the errors of `verify`
   */
  async verifyRequest(request: NodeRequest | FetchHeaders | FetchRequest): Promise<AccessToken> {
    return this.telling(() => this.judge(readAccessToken(request, this.settings.cookie)));
  }

  /** Returns the time by which this verifier judges tokens: for `requireAuthentication`, where the option `now` moves it. */
  now(): Date {
    return this.runtime.now();
  }

  /** Returns ages and counts for probes and metrics. */
  state(): VerifierState {
    const { keys, follower } = this;
    return {
      keys: { kids: keys.kids, ageSeconds: keys.ageSeconds(), isUsable: keys.isUsable() },
      ...(follower && {
        revocations: { sessions: follower.size, ageSeconds: follower.ageSeconds(), isStale: follower.isStale() },
      }),
    };
  }

  /** Aborts all requests under way, so that the process can end. */
  close(): void {
    this.closing.abort();
  }

  private async telling(judge: () => Promise<AccessToken>): Promise<AccessToken> {
    try {
      return await judge();
    } catch (error) {
      if (error instanceof VerificationError) {
        this.tell({ event: 'access_token_refused', code: error.code, reason: error.message });
      }
      throw error;
    }
  }

  private async judge(token: string): Promise<AccessToken> {
    const header = readHeader(token);
    if (header === undefined || !this.settings.algorithms.includes(header.algorithm)) {
      throw new AccessTokenInvalidError('header');
    }
    const key = await this.keys.find(header.kid, this.closing.signal);
    if (key?.algorithm !== header.algorithm) {
      throw new AccessTokenInvalidError('unknown key id, or not the algorithm of that key');
    }
    const accessToken = this.readBy(key, token);
    this.requireLiveSession(accessToken.sessionId);
    return accessToken;
  }

  /** Checks the signature first: nothing of a token that is not genuine is judged or told. */
  private readBy({ publicKey }: VerificationKey, token: string): AccessToken {
    const end = token.lastIndexOf('.');
    const signature = Buffer.from(token.slice(end + 1), 'base64url');
    // The encoding is ECDSA's of RFC 7518 section 3.4; RSA keys have none to choose.
    if (!verify('sha256', Buffer.from(token.slice(0, end)), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)) {
      throw new AccessTokenInvalidError('signature');
    }
    const claims = parseClaims(token) ?? {};
    requireClaim('iss', this.settings.issuer, claims['iss']);
    requireClaim('aud', this.settings.audience, claims['aud']);
    const now = this.runtime.now();
    const { exp, nbf } = claims;
    if (nbf !== undefined && !(typeof nbf === 'number' && nbf * 1_000 <= now.getTime())) {
      throw new AccessTokenInvalidError('nbf');
    }
    if (typeof exp === 'number' && exp * 1_000 <= now.getTime()) {
      throw new AccessTokenExpiredError('exp');
    }
    const accessToken = readClaims(claims, now);
    if (accessToken === undefined) {
      throw new AccessTokenInvalidError('claims');
    }
    return accessToken;
  }

  /** A service whose metadata cannot be read is not contradicted by it. */
  private async requireSameIssuer(): Promise<void> {
    const { issuer, metadataUrl } = this.settings;
    const { body } = await getJson(this.runtime, metadataUrl, {
      timeoutMs: METADATA_TIMEOUT_MS,
      mostBytes: LONGEST_METADATA_BYTES,
      closing: this.closing.signal,
    }).catch(() => ({ body: undefined }));
    const received: unknown = typeof body === 'object' && body !== null && 'issuer' in body ? body.issuer : undefined;
    if (typeof received === 'string' && received !== issuer) {
      throw new IssuerMismatchError(issuer, received, metadataUrl);
    }
  }

  /** A session that is known to have ended is refused, whatever the age of the feed. */
  private requireLiveSession(sessionId: string): void {
    if (this.follower?.isRevoked(sessionId) === true) {
      throw new AccessTokenRevokedError('its session has ended');
    }
    if (this.settings.following?.whenFeedIsStale === 'reject' && this.follower?.isStale() === true) {
      throw new TemporarilyUnavailableError(
        `revocations were last known ${this.follower.ageSeconds().toFixed(1)} s ago`,
      );
    }
  }
}

/**
 * Makes a verifier for the tokens of one issuer and audience; one per process is enough. It starts to load at once and
 * runs until it is closed.
 *
 * @param runtime for tests
 * @throws TypeError for invalid options
 */
export function createVerifier(
  options: VerifierOptions,
  runtime: Runtime = processRuntime(options.fetch, options.now),
): Verifier {
  return new Verifier(readOptions(options), runtime, options.onEvent);
}

/** @throws InsufficientRoleError unless the user has at least one of the roles */
export function requireAnyRole(accessToken: AccessToken, roles: readonly string[]): void {
  if (!roles.some((role) => accessToken.roles.includes(role))) {
    throw new InsufficientRoleError(`one of ${roles.join(', ')} is required`);
  }
}

/** @throws AccessTokenInvalidError that names what was expected and received: a wrong option looks like a wrong token */
function requireClaim(name: 'iss' | 'aud', expected: string, received: unknown): void {
  if (received !== expected) {
    const told = received === undefined ? 'absent' : JSON.stringify(received).slice(0, LONGEST_TOLD_CHARACTERS);
    throw new AccessTokenInvalidError(`${name} is ${told}, expected ${JSON.stringify(expected)}`);
  }
}
