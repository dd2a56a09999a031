import { type Algorithm, ALGORITHMS, isAlgorithm } from './access-token.format.js';
import type { CookieSettings } from './access-cookie.js';
import type { VerifierEvent } from './events.js';
import type { Fetch } from './runtime.js';

interface CommonOptions {
  /** The `iss` of the tokens, exactly: the service's `JWT_ISSUER`. */
  readonly issuer: string;
  /** The `aud` of the tokens, exactly: the service's `JWT_AUDIENCE`. */
  readonly audience: string;
  /** The service's address from here, if it is not the issuer: `http://auth:3000`. */
  readonly baseUrl?: string;
  /** Default: `/.well-known/jwks.json` below `baseUrl`. */
  readonly jwksUrl?: string;
  /** Default: both. */
  readonly algorithms?: readonly Algorithm[];
  /**
   * The access cookie of a service with `ACCESS_COOKIE=on`, `__Host-Http-ratchet-access` for an https issuer: read where
   * there is no `Authorization` header. Default: no cookie is read. A backend may read it and never refreshes.
   */
  readonly cookieName?: string;
  /** The service's `COOKIE_ORIGINS`, required with `cookieName`: other pages cause requests that carry the cookie, too. */
  readonly cookieOrigins?: readonly string[];
  /** Default: the global one. */
  readonly fetch?: Fetch;
  /**
   * What `exp` and `iat` are compared with, for tests that move the clock. Default: the time of this machine. Waits and the
   * age of the feed follow a clock that this does not move.
   */
  readonly now?: () => Date;
  /** Receives events for a log. */
  readonly onEvent?: (event: VerifierEvent) => void;
}

interface FollowingOptions {
  /** Refuses a token soon after its session has ended. */
  readonly revocations: 'follow';
  /**
   * What happens after `maxStalenessSeconds` without news: `reject` answers 503 until news arrives; `accept` accepts
   * tokens until they expire, except those of sessions that are known to have ended.
   */
  readonly whenFeedIsStale: 'reject' | 'accept';
  /** A number from 2 to 300; default 10. */
  readonly maxStalenessSeconds?: number;
  /** Default: `/auth/revocations` below `baseUrl`. */
  readonly revocationsUrl?: string;
}

interface NotFollowingOptions {
  /** Accepts a token until it expires, even if its session has ended. */
  readonly revocations: 'off';
}

/** `revocations` and `whenFeedIsStale` have no default: the backend decides what to risk. */
export type VerifierOptions = CommonOptions & (FollowingOptions | NotFollowingOptions);

export interface Settings {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly Algorithm[];
  readonly jwksUrl: string;
  readonly metadataUrl: string;
  readonly cookie: CookieSettings | undefined;
  readonly following:
    | undefined
    | {
        readonly url: string;
        readonly whenFeedIsStale: 'reject' | 'accept';
        readonly maxStalenessSeconds: number;
      };
}

const DEFAULT_MAX_STALENESS_SECONDS = 10;
const STALENESS_BOUNDS_SECONDS = { least: 2, most: 300 };

/** @throws TypeError that names the option; JavaScript has no compiler to do it */
export function readOptions(options: VerifierOptions): Settings {
  const { issuer, audience, baseUrl = issuer, algorithms = ALGORITHMS } = options;
  requireThat(isFilled(issuer), 'issuer must be the iss of the tokens');
  requireThat(isFilled(audience), 'audience must be the aud of the tokens');
  requireThat(algorithms.length > 0 && algorithms.every(isAlgorithm), `algorithms may be ${ALGORITHMS.join(', ')}`);
  return {
    issuer,
    audience,
    algorithms: [...algorithms],
    jwksUrl: readUrl('jwksUrl', options.jwksUrl ?? below(baseUrl, '/.well-known/jwks.json')),
    metadataUrl: below(baseUrl, '/.well-known/oauth-authorization-server'),
    cookie: readCookie(options),
    following: readFollowing(options, baseUrl),
  };
}

function readCookie({ cookieName: name, cookieOrigins }: VerifierOptions): CookieSettings | undefined {
  if (name === undefined) {
    requireThat(cookieOrigins === undefined, 'cookieOrigins needs cookieName');
    return undefined;
  }
  requireThat(/^[\w-]+$/.test(name), 'cookieName must be the name of a cookie');
  const origins = [...(cookieOrigins ?? [])];
  requireThat(
    origins.length > 0 && origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
    'cookieOrigins must be the exact origins of the service that may use the cookie',
  );
  return { name, origins };
}

function readFollowing(options: VerifierOptions, baseUrl: string): Settings['following'] {
  requireThat(['follow', 'off'].includes(options.revocations), "revocations must be 'follow' or 'off'");
  if (options.revocations === 'off') {
    return undefined;
  }
  const { whenFeedIsStale, maxStalenessSeconds = DEFAULT_MAX_STALENESS_SECONDS } = options;
  requireThat(['reject', 'accept'].includes(whenFeedIsStale), "whenFeedIsStale must be 'reject' or 'accept'");
  const { least, most } = STALENESS_BOUNDS_SECONDS;
  requireThat(
    maxStalenessSeconds >= least && maxStalenessSeconds <= most,
    `maxStalenessSeconds must be from ${least} to ${most}`,
  );
  const url = readUrl('revocationsUrl', options.revocationsUrl ?? below(baseUrl, '/auth/revocations'));
  requireThat(new URL(url).search === '', 'revocationsUrl must have no query');
  return { url, whenFeedIsStale, maxStalenessSeconds };
}

function below(baseUrl: string, path: string): string {
  return `${baseUrl.replace(/\/+$/, '')}${path}`;
}

function readUrl(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isUsable = (url?.protocol === 'https:' || url?.protocol === 'http:') && url.username === '' && url.hash === '';
  requireThat(isUsable, `${name} must be an http(s) URL without credentials; set baseUrl when the issuer is none`);
  return text;
}

function isFilled(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function requireThat(holds: boolean, expectation: string): void {
  if (!holds) {
    throw new TypeError(`@ratchet/verifier: ${expectation}`);
  }
}
