import { jwtVerify } from 'jose';
import { ACCESS_TOKEN_TYPE, type AccessToken, readClaims, readHeader } from './access-token.format.js';
import { type FetchHeaders, type NodeRequest, readBearerToken } from './bearer-token.js';
import {
  AccessTokenExpiredError,
  AccessTokenInvalidError,
  AccessTokenRevokedError,
  InsufficientRoleError,
  TemporarilyUnavailableError,
} from './errors.js';
import { tellLater } from './events.js';
import { reasonOf } from './json-source.js';
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

/**
 * Verifies access tokens in memory. A request waits for the service only if its token names a key that is not known
 * yet.
 */
export class Verifier {
  private readonly closing = new AbortController();
  private readonly keys: KeySet;
  private readonly follower: RevocationFollower | undefined;

  /** Use `createVerifier`. Starts to load keys and revocations. */
  constructor(
    private readonly settings: Settings,
    private readonly runtime: Runtime,
    onEvent: VerifierOptions['onEvent'],
  ) {
    const tell = tellLater(onEvent);
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
   */
  async ready({ withinSeconds = 30 }: { readonly withinSeconds?: number } = {}): Promise<void> {
    const giveUpAtMs = this.runtime.monotonicMs() + withinSeconds * 1000;
    while (!this.keys.isUsable() || this.follower?.isLoaded() === false) {
      if (this.runtime.monotonicMs() >= giveUpAtMs || this.closing.signal.aborted) {
        throw new TemporarilyUnavailableError(`keys or revocations were not loaded within ${withinSeconds} s`);
      }
      // Nothing else may keep the process alive between two attempts.
      await this.runtime.pause(READY_POLL_MS, this.closing.signal, { isAwaitedByCaller: true });
    }
  }

  /**
   * @param token the text after `Bearer`; whatever it is, only the errors below are thrown
   * @throws AccessTokenInvalidError, AccessTokenExpiredError, AccessTokenRevokedError
   * @throws TemporarilyUnavailableError when there are no keys, or the feed is stale and `whenFeedIsStale` is `reject`
   */
  async verify(token: string): Promise<AccessToken> {
    const header = readHeader(token);
    if (header === undefined || !this.settings.algorithms.includes(header.algorithm)) {
      throw new AccessTokenInvalidError('header');
    }
    const key = await this.keys.find(header.kid, this.closing.signal);
    if (key?.algorithm !== header.algorithm) {
      throw new AccessTokenInvalidError('unknown key id, or not the algorithm of that key');
    }
    const accessToken = await this.verifyBy(key, token);
    this.requireLiveSession(accessToken.sessionId);
    return accessToken;
  }

  /**
   * Verifies the token of a request: Node's, Express's, `request.raw` of Fastify, or the `Headers` of a Fetch request.
   *
   * @throws AccessTokenMissingError, and the errors of `verify`
   */
  async verifyRequest(request: NodeRequest | FetchHeaders): Promise<AccessToken> {
    return this.verify(readBearerToken(request));
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

  private async verifyBy({ algorithm, publicKey }: VerificationKey, token: string): Promise<AccessToken> {
    const now = this.runtime.now();
    try {
      const { payload } = await jwtVerify(token, publicKey, {
        algorithms: [algorithm],
        issuer: this.settings.issuer,
        audience: this.settings.audience,
        typ: ACCESS_TOKEN_TYPE,
        requiredClaims: ['iss', 'aud', 'exp'],
        clockTolerance: 0,
        currentDate: now,
      });
      const accessToken = readClaims(payload, now);
      if (accessToken !== undefined) {
        return accessToken;
      }
    } catch (error) {
      const detail = { cause: error };
      throw codeOf(error) === 'ERR_JWT_EXPIRED'
        ? new AccessTokenExpiredError('exp', detail)
        : new AccessTokenInvalidError(reasonOf(error), detail);
    }
    throw new AccessTokenInvalidError('claims');
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
export function createVerifier(options: VerifierOptions, runtime: Runtime = processRuntime(options.fetch)): Verifier {
  return new Verifier(readOptions(options), runtime, options.onEvent);
}

/** @throws InsufficientRoleError unless the user has at least one of the roles */
export function requireAnyRole(accessToken: AccessToken, roles: readonly string[]): void {
  if (!roles.some((role) => accessToken.roles.includes(role))) {
    throw new InsufficientRoleError(`one of ${roles.join(', ')} is required`);
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
