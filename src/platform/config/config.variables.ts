import { LONGEST_ACCESS_TOKEN_SECONDS } from './access-token-lifetime.js';
import { authSecret, authSecretList } from './auth-secret.policy.js';
import {
  cookieOriginList,
  directory,
  displayName,
  integerBetween,
  issuerUrl,
  languageTag,
  listenHost,
  mailboxWithName,
  mailTransport,
  onOrOff,
  oneOf,
  originList,
  type Parser,
  postgresUrl,
  proxyList,
  redisUrl,
  relyingPartyId,
  singleAudience,
  totpIssuerName,
  webauthnOriginList,
} from './config.parsers.js';

export interface ConfigVariable<T> {
  readonly name: string;
  /** A secret can also be given as `NAME_FILE`, the path of a file that holds it. */
  readonly isSecret?: true;
  /** Written as in the environment; the same parser reads it. */
  readonly default?: string;
  /** What an absent value means, for the documents; only where there is no default. */
  readonly whenUnset?: string;
  /** One sentence of Markdown. */
  readonly meaning: string;
  readonly parser: Parser<T>;
}

const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 365 * DAY_SECONDS;

/**
 * Every environment variable that the service reads, under the name that its value has in `Config`. The type of the
 * configuration, the loader, `.env.example` and docs/configuration.md (`npm run docs:config`) follow from this table.
 */
export const configVariables = {
  database: {
    url: {
      name: 'DATABASE_URL',
      isSecret: true,
      whenUnset: 'embedded PostgreSQL',
      meaning: 'The database, PostgreSQL 15 or later; required in production.',
      parser: postgresUrl,
    },
    directUrl: {
      name: 'DATABASE_DIRECT_URL',
      isSecret: true,
      whenUnset: 'same as `DATABASE_URL`',
      meaning: 'The same database without the transaction pooler, for LISTEN, migrations and jobs.',
      parser: postgresUrl,
    },
    poolSize: {
      name: 'DATABASE_POOL_SIZE',
      default: '10',
      meaning: 'Connections per instance, which keeps two more for revocations and its heartbeat.',
      parser: integerBetween(1, 1000),
    },
    dataDir: {
      name: 'DATA_DIR',
      default: '.ratchet',
      meaning: 'The folder of the embedded PostgreSQL and of the generated secret.',
      parser: directory,
    },
  },
  secrets: {
    current: {
      name: 'AUTH_SECRET',
      isSecret: true,
      whenUnset: 'generated in `DATA_DIR` when embedded, else required',
      meaning: 'Protects refresh tokens and the signing keys at rest; all instances share it.',
      parser: authSecret,
    },
    accepted: {
      name: 'AUTH_SECRET_ACCEPTED',
      isSecret: true,
      whenUnset: 'none',
      meaning:
        'Former or coming secrets, which verify tokens but mint none; for changing `AUTH_SECRET` in two deploys.',
      parser: authSecretList,
    },
  },
  http: {
    host: {
      name: 'HOST',
      default: '127.0.0.1',
      meaning: 'The address to listen on; the container image sets `0.0.0.0`.',
      parser: listenHost,
    },
    port: {
      name: 'PORT',
      default: '3000',
      meaning: 'The port to listen on; with 0 the operating system chooses.',
      parser: integerBetween(0, 65_535),
    },
    trustedProxies: {
      name: 'TRUSTED_PROXIES',
      whenUnset: 'none',
      meaning: 'The proxies whose `X-Forwarded-For` is trusted.',
      parser: proxyList,
    },
    corsOrigins: {
      name: 'CORS_ORIGINS',
      whenUnset: 'none',
      meaning: 'The origins whose pages, or apps such as `capacitor://localhost`, may call the service from a browser.',
      parser: originList,
    },
    keepAliveSeconds: {
      name: 'KEEP_ALIVE_SECONDS',
      default: '620',
      meaning:
        'How long an idle connection stays open: longer than any proxy in front keeps it, or requests are lost now and then.',
      parser: integerBetween(1, 86_400),
    },
    shutdownDelaySeconds: {
      name: 'SHUTDOWN_DELAY_SECONDS',
      default: '0',
      meaning:
        'How long the instance goes on serving after SIGTERM, with readiness 503, until its balancers have noticed.',
      parser: integerBetween(0, 300),
    },
    hstsMaxAgeSeconds: {
      name: 'HSTS_MAX_AGE_SECONDS',
      default: '31536000',
      meaning: 'The `max-age` of `Strict-Transport-Security`; 0 omits the header.',
      parser: integerBetween(0, 2 * YEAR_SECONDS),
    },
    apiDocs: {
      name: 'API_DOCS',
      whenUnset: '`off` in production, else `on`',
      meaning: 'Whether the page `/docs` and `/openapi.json` are served; without them the paths are 404.',
      parser: onOrOff,
    },
  },
  cookies: {
    origins: {
      name: 'COOKIE_ORIGINS',
      whenUnset: 'none',
      meaning: 'The origins whose pages keep their sessions in cookies, which no script can read.',
      parser: cookieOriginList,
    },
    accessCookie: {
      name: 'ACCESS_COOKIE',
      default: 'off',
      meaning:
        'Whether these pages get the access token in a cookie too, for gateways, images, downloads, WebSockets and pages.',
      parser: onOrOff,
    },
  },
  metrics: {
    port: {
      name: 'METRICS_PORT',
      whenUnset: 'no metrics',
      meaning: 'A second port on the same `HOST` that serves only `GET /metrics`, for Prometheus.',
      parser: integerBetween(0, 65_535),
    },
  },
  accessTokens: {
    issuer: {
      name: 'JWT_ISSUER',
      whenUnset: '`http://HOST:PORT` in development',
      meaning:
        'The `iss` of access tokens; required in production, where it must use `https` unless the host is this machine.',
      parser: issuerUrl,
    },
    audience: {
      name: 'JWT_AUDIENCE',
      default: 'ratchet',
      meaning: 'The `aud` of access tokens; required in production.',
      parser: singleAudience,
    },
    algorithm: {
      name: 'JWT_ALGORITHM',
      default: 'ES256',
      meaning:
        'The algorithm of new signing keys; a change takes effect once a key of the new kind has been published.',
      parser: oneOf('ES256', 'RS256'),
    },
    ttlSeconds: {
      name: 'ACCESS_TOKEN_TTL_SECONDS',
      default: '300',
      meaning: 'Lifetime of an access token.',
      parser: integerBetween(30, LONGEST_ACCESS_TOKEN_SECONDS),
    },
  },
  signingKeys: {
    rotationDays: {
      name: 'SIGNING_KEY_ROTATION_DAYS',
      default: '90',
      meaning: 'How long a key signs before the next one replaces it; with 0, until `npm run keys -- rotate`.',
      parser: integerBetween(0, 3650),
    },
    publicationSeconds: {
      name: 'SIGNING_KEY_PUBLICATION_SECONDS',
      default: '86400',
      meaning:
        'How long a key is published before it signs: at least as long as any gateway or backend caches the JWK Set.',
      parser: integerBetween(7_800, 30 * DAY_SECONDS),
    },
  },
  refreshTokens: {
    idleTtlSeconds: {
      name: 'REFRESH_TOKEN_IDLE_TTL_SECONDS',
      default: '1209600',
      meaning: 'A session expires when it has not been refreshed for this long (14 days).',
      parser: integerBetween(30, YEAR_SECONDS),
    },
    ttlSeconds: {
      name: 'REFRESH_TOKEN_TTL_SECONDS',
      default: '2592000',
      meaning: 'A session expires this long after the login, however often it is refreshed (30 days).',
      parser: integerBetween(30, YEAR_SECONDS),
    },
    graceSeconds: {
      name: 'REFRESH_GRACE_SECONDS',
      default: '0',
      meaning:
        'How long a retry without an `Idempotency-Key` gets the same answer again instead of ending the session.',
      parser: integerBetween(0, 60),
    },
    rollForward: {
      name: 'REFRESH_ROLL_FORWARD',
      default: 'on',
      meaning:
        'Whether an authentic token newer than the database (a restored backup) is accepted or ends its session.',
      parser: onOrOff,
    },
    maxSessionsPerUser: {
      name: 'MAX_SESSIONS_PER_USER',
      default: '50',
      meaning: 'A login beyond this number ends the session that has gone longest without a refresh.',
      parser: integerBetween(1, 1000),
    },
  },
  revocation: {
    maxStalenessSeconds: {
      name: 'REVOCATION_MAX_STALENESS_SECONDS',
      default: '5',
      meaning: 'An instance that has not read revocations for this long answers access tokens with 503.',
      parser: integerBetween(1, 60),
    },
    fenceSeconds: {
      name: 'FENCE_SECONDS',
      default: '30',
      meaning:
        'An instance whose database has committed no heartbeat for this long, as a replaced primary, answers access tokens with 503.',
      parser: integerBetween(10, 300),
    },
  },
  passwords: {
    minLengthCodePoints: {
      name: 'PASSWORD_MIN_LENGTH',
      default: '8',
      meaning: 'Shortest new password, in Unicode code points.',
      parser: integerBetween(8, 64),
    },
    hashCost: {
      name: 'PASSWORD_HASH_COST',
      default: 'full',
      meaning:
        'What a password hash costs; `least` protects no password and saves a test suite the time. Only with `NODE_ENV=test`.',
      parser: oneOf('full', 'least'),
    },
  },
  limits: {
    isOn: {
      name: 'RATE_LIMITS',
      default: 'on',
      meaning:
        'Whether guesses, registrations, mails and refused tokens are limited; `off` is for load tests and test suites only.',
      parser: onOrOff,
    },
    redisUrl: {
      name: 'REDIS_URL',
      isSecret: true,
      whenUnset: 'the database',
      meaning: 'The Redis that counts wrong passwords and registrations for all instances together.',
      parser: redisUrl,
    },
  },
  mail: {
    transport: {
      name: 'MAIL_URL',
      isSecret: true,
      whenUnset: '`file` in development, else no mail',
      meaning:
        'The SMTP server that takes the mails; with `file` each becomes a file under `DATA_DIR`. Without it, no route sends mail.',
      parser: mailTransport,
    },
    from: {
      name: 'MAIL_FROM',
      whenUnset: '`Ratchet <ratchet@localhost>`',
      meaning: 'The sender of the mails; required in production with `MAIL_URL`.',
      parser: mailboxWithName,
    },
    accountUrl: {
      name: 'ACCOUNT_URL',
      whenUnset: 'same as `JWT_ISSUER`',
      meaning:
        'The page of the application that the links of mails open; required in production with `MAIL_URL`, where it must use `https` unless the host is this machine.',
      parser: issuerUrl,
    },
    templatesDir: {
      name: 'MAIL_TEMPLATES_DIR',
      whenUnset: 'the templates of the service',
      meaning: 'A folder whose files replace templates of the service, file by file.',
      parser: directory,
    },
    locale: {
      name: 'MAIL_LOCALE',
      default: 'en',
      meaning: 'The language of mails to users of whom no language is known.',
      parser: languageTag,
    },
    verification: {
      name: 'EMAIL_VERIFICATION',
      default: 'off',
      meaning: 'With `required`, an account exists only once its mailbox has been proven.',
      parser: oneOf('off', 'required'),
    },
    signIn: {
      name: 'EMAIL_SIGN_IN',
      default: 'off',
      meaning: 'Whether users can sign in with a code that is mailed to them.',
      parser: onOrOff,
    },
    newSignIns: {
      name: 'NEW_SIGN_IN_MAILS',
      default: 'off',
      meaning: 'Whether users get a mail when they sign in from where they never have.',
      parser: onOrOff,
    },
  },
  factors: {
    isOn: {
      name: 'SECOND_FACTORS',
      default: 'off',
      meaning:
        'Whether users can add second factors: an authenticator app, and passkeys where `WEBAUTHN_RP_ID` is set.',
      parser: onOrOff,
    },
    totpIssuer: {
      name: 'TOTP_ISSUER',
      whenUnset: 'the host of `JWT_ISSUER`',
      meaning: 'What an authenticator app shows beside the address of the user.',
      parser: totpIssuerName,
    },
    rpId: {
      name: 'WEBAUTHN_RP_ID',
      whenUnset: 'no passkeys',
      meaning: 'The domain that passkeys are made for. Those that were made for another one cannot be used any more.',
      parser: relyingPartyId,
    },
    origins: {
      name: 'WEBAUTHN_ORIGINS',
      whenUnset: '`https://` and `WEBAUTHN_RP_ID`',
      meaning: 'The origins whose pages and apps may use the passkeys.',
      parser: webauthnOriginList,
    },
    rpName: {
      name: 'WEBAUTHN_RP_NAME',
      whenUnset: 'same as `TOTP_ISSUER`',
      meaning: 'What a browser calls the service when it makes a passkey.',
      parser: displayName,
    },
  },
  runtime: {
    environment: {
      name: 'NODE_ENV',
      default: 'development',
      meaning: 'Production refuses defaults that are safe only in development; development reads `.env`.',
      parser: oneOf('development', 'production', 'test'),
    },
    logLevel: {
      name: 'LOG_LEVEL',
      default: 'info',
      meaning: 'The least severe level that is logged.',
      parser: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    },
  },
} satisfies Record<string, Record<string, ConfigVariable<unknown>>>;

/** The same table without its literal types, to go through all of it. */
export const configVariableGroups: Readonly<Record<string, Readonly<Record<string, ConfigVariable<unknown>>>>> =
  configVariables;

export const configVariableList: readonly ConfigVariable<unknown>[] = Object.values(configVariableGroups).flatMap(
  Object.values,
);

export function fileVariableName(variable: ConfigVariable<unknown>): string {
  return `${variable.name}_FILE`;
}
