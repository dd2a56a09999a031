import { LONGEST_ACCESS_TOKEN_SECONDS } from './access-token-lifetime.js';
import { authSecret, authSecretList } from './auth-secret.policy.js';
import type { JwtAlgorithm, LogLevel } from './config.js';
import {
  directory,
  integerBetween,
  issuerUrl,
  listenHost,
  onOrOff,
  oneOf,
  originList,
  type Parser,
  postgresUrl,
  proxyList,
  redisUrl,
  singleAudience,
} from './config.parsers.js';

export interface ConfigVariable<T> {
  readonly name: string;
  /** A secret can also be given as `NAME_FILE`, the path of a file that holds it. */
  readonly isSecret: boolean;
  /** As it would be written in the environment; the same parser reads it. */
  readonly default?: string;
  /** What no value means, for the table; only where there is no default. */
  readonly whenUnset?: string;
  /** One sentence of Markdown. */
  readonly meaning: string;
  readonly parser: Parser<T>;
}

const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 365 * DAY_SECONDS;

/**
 * Every environment variable the service reads, and the only place that says so: the start-up check, the table in the
 * README and `.env.example` are made from it or compared with it.
 */
export const configVariables = {
  databaseUrl: {
    name: 'DATABASE_URL',
    isSecret: true,
    whenUnset: 'embedded PostgreSQL',
    meaning: 'The database, PostgreSQL 15 or later; required in production.',
    parser: postgresUrl,
  },
  databaseDirectUrl: {
    name: 'DATABASE_DIRECT_URL',
    isSecret: true,
    whenUnset: 'same as `DATABASE_URL`',
    meaning: 'The same database without the transaction pooler, for LISTEN, migrations and jobs.',
    parser: postgresUrl,
  },
  databasePoolSize: {
    name: 'DATABASE_POOL_SIZE',
    isSecret: false,
    default: '10',
    meaning: 'Connections per process; each has one more, for revocations.',
    parser: integerBetween(1, 1000),
  },
  authSecret: {
    name: 'AUTH_SECRET',
    isSecret: true,
    whenUnset: 'generated in `DATA_DIR` when embedded, else required',
    meaning: 'Protects refresh tokens and the signing keys at rest; all instances share it.',
    parser: authSecret,
  },
  authSecretAccepted: {
    name: 'AUTH_SECRET_ACCEPTED',
    isSecret: true,
    whenUnset: 'none',
    meaning: 'Secrets that verify but no longer, or do not yet, mint; for changing `AUTH_SECRET` in two deploys.',
    parser: authSecretList,
  },
  dataDir: {
    name: 'DATA_DIR',
    isSecret: false,
    default: '.ratchet',
    meaning: 'Where the embedded PostgreSQL and the generated secret live.',
    parser: directory,
  },
  host: {
    name: 'HOST',
    isSecret: false,
    default: '127.0.0.1',
    meaning: 'The address to listen on; the container image sets `0.0.0.0`.',
    parser: listenHost,
  },
  port: {
    name: 'PORT',
    isSecret: false,
    default: '3000',
    meaning: 'The port to listen on; 0 lets the operating system choose.',
    parser: integerBetween(0, 65_535),
  },
  metricsPort: {
    name: 'METRICS_PORT',
    isSecret: false,
    whenUnset: 'no metrics',
    meaning: 'A second port of the same `HOST`, for Prometheus (`GET /metrics`) and for nobody else.',
    parser: integerBetween(0, 65_535),
  },
  jwtIssuer: {
    name: 'JWT_ISSUER',
    isSecret: false,
    default: 'http://localhost:3000',
    meaning: 'The `iss` of access tokens; must be set in production, and there be `https` unless it is this machine.',
    parser: issuerUrl,
  },
  jwtAudience: {
    name: 'JWT_AUDIENCE',
    isSecret: false,
    default: 'ratchet',
    meaning: 'The `aud` of access tokens; must be set in production.',
    parser: singleAudience,
  },
  jwtAlgorithm: {
    name: 'JWT_ALGORITHM',
    isSecret: false,
    default: 'ES256',
    meaning:
      'What new signing keys are made for; a change takes effect when a key of the other kind has been published.',
    parser: oneOf<JwtAlgorithm>('ES256', 'RS256'),
  },
  accessTokenTtlSeconds: {
    name: 'ACCESS_TOKEN_TTL_SECONDS',
    isSecret: false,
    default: '300',
    meaning: 'Lifetime of an access token.',
    parser: integerBetween(30, LONGEST_ACCESS_TOKEN_SECONDS),
  },
  signingKeyRotationDays: {
    name: 'SIGNING_KEY_ROTATION_DAYS',
    isSecret: false,
    default: '90',
    meaning: 'How long a signing key signs before the next one takes over; 0 is until `npm run keys -- rotate`.',
    parser: integerBetween(0, 3650),
  },
  signingKeyPublicationSeconds: {
    name: 'SIGNING_KEY_PUBLICATION_SECONDS',
    isSecret: false,
    default: '86400',
    meaning: 'How long a key is published before it signs: the longest that a gateway or backend caches the JWK Set.',
    parser: integerBetween(7_800, 30 * DAY_SECONDS),
  },
  refreshTokenIdleTtlSeconds: {
    name: 'REFRESH_TOKEN_IDLE_TTL_SECONDS',
    isSecret: false,
    default: '1209600',
    meaning: 'A session not refreshed for that long has expired (14 days).',
    parser: integerBetween(30, YEAR_SECONDS),
  },
  refreshTokenTtlSeconds: {
    name: 'REFRESH_TOKEN_TTL_SECONDS',
    isSecret: false,
    default: '2592000',
    meaning: 'The absolute end of a session, which no refresh moves (30 days).',
    parser: integerBetween(30, YEAR_SECONDS),
  },
  refreshGraceSeconds: {
    name: 'REFRESH_GRACE_SECONDS',
    isSecret: false,
    default: '0',
    meaning: 'How long a retry without an `Idempotency-Key` is answered again instead of ending the session; 0 is off.',
    parser: integerBetween(0, 60),
  },
  refreshRollForward: {
    name: 'REFRESH_ROLL_FORWARD',
    isSecret: false,
    default: 'on',
    meaning: 'Whether an authentic token newer than the database (a restored backup) is honoured or ends its session.',
    parser: onOrOff,
  },
  revocationMaxStalenessSeconds: {
    name: 'REVOCATION_MAX_STALENESS_SECONDS',
    isSecret: false,
    default: '5',
    meaning: 'Without news from the database for that long, access tokens are answered with 503.',
    parser: integerBetween(1, 60),
  },
  maxSessionsPerUser: {
    name: 'MAX_SESSIONS_PER_USER',
    isSecret: false,
    default: '50',
    meaning: 'One more login ends the session that has gone longest without a refresh.',
    parser: integerBetween(1, 1000),
  },
  passwordMinLength: {
    name: 'PASSWORD_MIN_LENGTH',
    isSecret: false,
    default: '8',
    meaning: 'Shortest new password, in Unicode code points.',
    parser: integerBetween(8, 64),
  },
  trustedProxies: {
    name: 'TRUSTED_PROXIES',
    isSecret: false,
    whenUnset: 'none',
    meaning: 'Whose `X-Forwarded-For` counts.',
    parser: proxyList,
  },
  corsOrigins: {
    name: 'CORS_ORIGINS',
    isSecret: false,
    whenUnset: 'none',
    meaning: 'Whose pages may call the service from a browser.',
    parser: originList,
  },
  rateLimits: {
    name: 'RATE_LIMITS',
    isSecret: false,
    default: 'on',
    meaning:
      'Whether guesses, registrations and refused tokens are limited; `off` for load tests and test suites only.',
    parser: onOrOff,
  },
  redisUrl: {
    name: 'REDIS_URL',
    isSecret: true,
    whenUnset: 'the database',
    meaning: 'The Redis in which wrong passwords and registrations are counted, over all instances together.',
    parser: redisUrl,
  },
  hstsMaxAgeSeconds: {
    name: 'HSTS_MAX_AGE_SECONDS',
    isSecret: false,
    default: '31536000',
    meaning:
      'For how long browsers insist on TLS once they have seen it (`Strict-Transport-Security`); 0 does not ask.',
    parser: integerBetween(0, 2 * YEAR_SECONDS),
  },
  logLevel: {
    name: 'LOG_LEVEL',
    isSecret: false,
    default: 'info',
    meaning: 'The least severe level that is logged.',
    parser: oneOf<LogLevel>('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  },
  nodeEnv: {
    name: 'NODE_ENV',
    isSecret: false,
    default: 'development',
    meaning: 'Production refuses defaults that are only safe at home; development reads `.env`.',
    parser: oneOf('development', 'production', 'test'),
  },
} satisfies Record<string, ConfigVariable<unknown>>;

export const configVariableList: readonly ConfigVariable<unknown>[] = Object.values(configVariables);

export function fileVariableName(variable: ConfigVariable<unknown>): string {
  return `${variable.name}_FILE`;
}
