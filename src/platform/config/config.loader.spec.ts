import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';

import { howToMakeASecret, TEST_KIT_SECRET } from './auth-secret.policy.js';
import { ConfigurationError } from './config.errors.js';
import { loadCommandConfig, loadConfig, loadDatabaseConfig, withPort } from './config.loader.js';
import { configVariableList } from './config.variables.js';

const secret = 'k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-sA8uQ2eX6vTz';
const formerSecret = 'u8Ei2Oa5Qy7Xw1Zv3Kj6Hf9Dd4Ss0P_lN5bT1rC7yMs';
const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://ratchet:hidden@db/ratchet',
  AUTH_SECRET: secret,
  JWT_ISSUER: 'https://auth.example.com',
  JWT_AUDIENCE: 'api',
};

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ratchet-config-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function load(env: NodeJS.ProcessEnv): ReturnType<typeof loadConfig> {
  return loadConfig(env, directory);
}

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    load(env);
  } catch (error) {
    if (error instanceof ConfigurationError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

function writeFile(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('the configuration', () => {
  it('of an empty environment is the documented defaults over the embedded database', () => {
    const { secrets, changedSettings, ...config } = load({});
    expect(config).toEqual({
      ignoredVariables: [],
      runtime: { environment: 'development', logLevel: 'info' },
      http: {
        host: '127.0.0.1',
        port: 3000,
        trustedProxies: [],
        corsOrigins: [],
        keepAliveSeconds: 620,
        shutdownDelaySeconds: 0,
        hstsMaxAgeSeconds: 31_536_000,
      },
      database: { poolSize: 10, dataDir: join(directory, '.ratchet') },
      accessTokens: { issuer: 'http://127.0.0.1:3000', audience: 'ratchet', algorithm: 'ES256', ttlSeconds: 300 },
      signingKeys: { rotationDays: 90, publicationSeconds: 86_400 },
      refreshTokens: {
        idleTtlSeconds: 1_209_600,
        ttlSeconds: 2_592_000,
        graceSeconds: 0,
        rollForward: true,
        maxSessionsPerUser: 50,
      },
      revocation: { maxStalenessSeconds: 5, fenceSeconds: 30 },
      passwords: { minLengthCodePoints: 8, hashCost: 'full' },
      limits: { isOn: true },
      cookies: { origins: [], accessCookie: false },
      metrics: {},
      mail: {
        transport: { kind: 'files', dir: join(directory, '.ratchet', 'mails') },
        from: { name: 'Ratchet', address: 'ratchet@localhost' },
        accountUrl: 'http://127.0.0.1:3000',
        locale: 'en',
        verification: 'off',
        signIn: false,
        newSignIns: false,
      },
    });
    expect(secrets.accepted).toEqual([]);
    expect(changedSettings).toEqual([]);
  });

  it('takes every variable from the environment', () => {
    const { changedSettings, ...config } = load({
      ...production,
      DATABASE_DIRECT_URL: 'postgres://ratchet:hidden@direct/ratchet',
      DATABASE_POOL_SIZE: '20',
      AUTH_SECRET_ACCEPTED: formerSecret,
      DATA_DIR: '/var/lib/ratchet',
      HOST: '::',
      PORT: '0',
      METRICS_PORT: '9464',
      JWT_ALGORITHM: 'RS256',
      ACCESS_TOKEN_TTL_SECONDS: '60',
      SIGNING_KEY_ROTATION_DAYS: '30',
      SIGNING_KEY_PUBLICATION_SECONDS: '7800',
      REFRESH_TOKEN_IDLE_TTL_SECONDS: '3600',
      REFRESH_TOKEN_TTL_SECONDS: '7200',
      REFRESH_GRACE_SECONDS: '10',
      REFRESH_ROLL_FORWARD: 'off',
      REVOCATION_MAX_STALENESS_SECONDS: '7',
      FENCE_SECONDS: '20',
      MAX_SESSIONS_PER_USER: '3',
      PASSWORD_MIN_LENGTH: '15',
      PASSWORD_HASH_COST: 'full',
      TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      CORS_ORIGINS: 'https://app.example.com',
      COOKIE_ORIGINS: 'https://www.example.com, https://example.com:8443',
      ACCESS_COOKIE: 'on',
      RATE_LIMITS: 'off',
      REDIS_URL: 'rediss://:hidden@redis.example.com:6380/2',
      HSTS_MAX_AGE_SECONDS: '0',
      KEEP_ALIVE_SECONDS: '70',
      SHUTDOWN_DELAY_SECONDS: '5',
      API_DOCS: 'on',
      MAIL_URL: 'smtps://ratchet:hidden@mail.example.com:465?requireTLS=true',
      MAIL_FROM: 'Example Inc. <no-reply@example.com>',
      ACCOUNT_URL: 'https://app.example.com/account',
      MAIL_TEMPLATES_DIR: '/etc/ratchet/mails',
      MAIL_LOCALE: 'pt-BR',
      EMAIL_VERIFICATION: 'required',
      EMAIL_SIGN_IN: 'on',
      NEW_SIGN_IN_MAILS: 'on',
      SECOND_FACTORS: 'on',
      TOTP_ISSUER: 'Example Inc.',
      WEBAUTHN_RP_ID: 'example.com',
      WEBAUTHN_ORIGINS: 'https://www.example.com, https://app.example.com:8443',
      WEBAUTHN_RP_NAME: 'Example',
      LOG_LEVEL: 'warn',
    });
    expect(config).toEqual({
      ignoredVariables: [],
      runtime: { environment: 'production', logLevel: 'warn' },
      http: {
        host: '::',
        port: 0,
        trustedProxies: ['10.0.0.0/8', '::1'],
        corsOrigins: ['https://app.example.com'],
        keepAliveSeconds: 70,
        shutdownDelaySeconds: 5,
        hstsMaxAgeSeconds: 0,
        apiDocs: true,
      },
      database: {
        url: production.DATABASE_URL,
        directUrl: 'postgres://ratchet:hidden@direct/ratchet',
        poolSize: 20,
        dataDir: '/var/lib/ratchet',
      },
      secrets: { current: Buffer.from(secret), accepted: [Buffer.from(formerSecret)] },
      accessTokens: { issuer: 'https://auth.example.com', audience: 'api', algorithm: 'RS256', ttlSeconds: 60 },
      signingKeys: { rotationDays: 30, publicationSeconds: 7_800 },
      refreshTokens: {
        idleTtlSeconds: 3600,
        ttlSeconds: 7200,
        graceSeconds: 10,
        rollForward: false,
        maxSessionsPerUser: 3,
      },
      revocation: { maxStalenessSeconds: 7, fenceSeconds: 20 },
      passwords: { minLengthCodePoints: 15, hashCost: 'full' },
      limits: { isOn: false, redisUrl: 'rediss://:hidden@redis.example.com:6380/2' },
      cookies: { origins: ['https://www.example.com', 'https://example.com:8443'], accessCookie: true },
      metrics: { port: 9_464 },
      mail: {
        transport: { kind: 'smtp', url: 'smtps://ratchet:hidden@mail.example.com:465?requireTLS=true' },
        from: { name: 'Example Inc.', address: 'no-reply@example.com' },
        accountUrl: 'https://app.example.com/account',
        templatesDir: '/etc/ratchet/mails',
        locale: 'pt-BR',
        verification: 'required',
        signIn: true,
        newSignIns: true,
      },
      factors: {
        totpIssuer: 'Example Inc.',
        passkeys: {
          rpId: 'example.com',
          rpName: 'Example',
          origins: ['https://www.example.com', 'https://app.example.com:8443'],
        },
      },
    });
    // All but PASSWORD_HASH_COST, of which production accepts the default only.
    expect(changedSettings).toHaveLength(configVariableList.length - 1);
  });

  it('ignores the variables of other programs, however close their names are', () => {
    const others = {
      REDIS_URI: 'redis://cache',
      CORS_ORIGIN: '*',
      DATABASE_URI: 'x',
      JWT_SECRET: 'x',
      RATE_LIMIT: '5',
    };
    expect(load(others)).toEqual(load({}));
  });

  it('takes an empty variable for an unset one', () => {
    const names = configVariableList.flatMap(({ name, isSecret }) =>
      isSecret === true ? [name, `${name}_FILE`] : [name],
    );
    expect(load(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(load({}));
  });

  it('cannot be changed at any depth', () => {
    const config = load({ TRUSTED_PROXIES: '10.0.0.0/8', AUTH_SECRET_ACCEPTED: formerSecret });
    const parts = [
      config,
      config.changedSettings,
      config.http,
      config.database,
      config.secrets,
      config.accessTokens,
      config.refreshTokens,
    ];
    expect(parts.filter((part) => !Object.isFrozen(part))).toEqual([]);
    expect(Object.isFrozen(config.http.trustedProxies)).toBe(true);
    expect(Object.isFrozen(config.secrets.accepted)).toBe(true);
  });

  it('does not change the environment it was read from', () => {
    writeFile('.env', 'PORT=4000');
    const env = { HOST: '::1' };
    load(env);
    expect(env).toEqual({ HOST: '::1' });
  });
});

describe('the settings that differ from their defaults', () => {
  it('are none in an empty environment, and none where a default is written out', () => {
    expect(load({}).changedSettings).toEqual([]);
    expect(load({ PORT: '3000', REFRESH_ROLL_FORWARD: 'on', LOG_LEVEL: '' }).changedSettings).toEqual([]);
  });

  it('are named with their values, whether the environment or the .env file gives them', () => {
    writeFile('.env', 'PORT=4000\n');
    expect(load({ CORS_ORIGINS: 'https://app.example.com' }).changedSettings).toEqual([
      'PORT=4000',
      'CORS_ORIGINS=https://app.example.com',
    ]);
  });

  it('show a secret as set and nothing of its value, even where a file holds it', () => {
    const { changedSettings } = load({
      ...production,
      AUTH_SECRET: '',
      AUTH_SECRET_FILE: writeFile('secret', secret),
      AUTH_SECRET_ACCEPTED: formerSecret,
      DATABASE_DIRECT_URL: 'postgres://ratchet:hidden@direct/ratchet',
      REDIS_URL: 'rediss://:hidden@redis.example.com:6380/2',
    });
    expect(changedSettings).toEqual([
      'DATABASE_URL (set)',
      'DATABASE_DIRECT_URL (set)',
      'AUTH_SECRET (set)',
      'AUTH_SECRET_ACCEPTED (set)',
      'JWT_ISSUER=https://auth.example.com',
      'JWT_AUDIENCE=api',
      'REDIS_URL (set)',
      'NODE_ENV=production',
    ]);
  });

  it('never show credentials inside a URL, whichever variable it was given to', () => {
    for (const { name } of configVariableList.filter(({ isSecret }) => isSecret !== true)) {
      for (const scheme of ['postgres', 'redis', 'https', 'http']) {
        const environment = { [name]: `${scheme}://someone:hidden@host.example.com` };
        const shown = problemsOf(environment).length > 0 ? [] : load(environment).changedSettings;
        expect({ name, shown: shown.join() }).toEqual({
          name,
          shown: expect.not.stringMatching(/someone|hidden/),
        });
      }
    }
  });
});

describe('problems', () => {
  it('are all named at once, one line each', () => {
    const env = { PORT: '70000', LOG_LEVEL: 'loud', DATABASE_DIRECT_URL: 'x' };
    expect(problemsOf(env)).toEqual([
      'DATABASE_DIRECT_URL must be a `postgres://` or `postgresql://` URL, with special characters of the password percent-encoded',
      'PORT must be a whole number from 0 to 65535',
      'LOG_LEVEL must be one of `fatal`, `error`, `warn`, `info`, `debug`, `trace`, `silent`',
      'DATABASE_DIRECT_URL needs DATABASE_URL; it is a second way to the same database',
    ]);
    expect(() => load(env)).toThrow(
      ['The configuration cannot be used:', ...problemsOf(env).map((problem) => `  - ${problem}`)].join('\n'),
    );
  });

  it('never contain a value, whatever the values are and however many are wrong', () => {
    const names = configVariableList.flatMap(({ name, isSecret }) =>
      isSecret === true ? [name, `${name}_FILE`] : [name],
    );
    const strayNames = ['RATCHET_PORT', 'JWT_SECRET', 'ACCESS_TOKEN_TTL', 'HOST_FILE', 'AUTH_SECRETS'];
    // No message is written in Cyrillic, so that one letter gives even a part of a value away.
    const text = fc
      .tuple(
        fc.constantFrom('', 'postgres://', 'https://', 'http://u:p@', '10.0.0.0/'),
        fc.string({ unit: fc.constantFrom('ж', 'щ', 'ю', '7', ',', '/', ' ', '#', '%', '\0'), minLength: 1 }),
      )
      .map(([start, rest]) => `${start}ж${rest}`);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names, ...strayNames), text), text, (env, port) => {
        const problems = problemsOf({ NODE_ENV: 'test', ...env, PORT: port });
        return problems.length > 0 && problems.every((problem) => !/\p{Script=Cyrillic}/u.test(problem));
      }),
    );
  });

  it('keep a start from writing anything', () => {
    expect(problemsOf({ PORT: 'x' })).toHaveLength(1);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('show how a secret is made where one is missing or unfit', () => {
    expect(problemsOf({ AUTH_SECRET: 'changeme' })).toEqual([
      `AUTH_SECRET must be 32 or more random bytes, written in hex, base64 or base64url; ${howToMakeASecret}`,
    ]);
    expect(howToMakeASecret).toContain('`openssl rand -base64 32`');
  });

  it.each(['development', 'test', 'production'])('include the public secret of the test kit in %s', (environment) => {
    const env = { ...production, NODE_ENV: environment };
    const why = 'must not be the public secret of the test kit';
    expect(problemsOf({ ...env, AUTH_SECRET: TEST_KIT_SECRET })).toEqual([`AUTH_SECRET ${why}`]);
    expect(problemsOf({ ...env, AUTH_SECRET: '', AUTH_SECRET_FILE: writeFile('kit', TEST_KIT_SECRET) })).toEqual([
      `AUTH_SECRET ${why}`,
    ]);
    expect(problemsOf({ ...env, AUTH_SECRET_ACCEPTED: `${formerSecret},${TEST_KIT_SECRET}` })).toEqual([
      `AUTH_SECRET_ACCEPTED ${why}`,
    ]);
  });

  it('include an unknown NODE_ENV, which must not be taken for development', () => {
    writeFile('.env', 'PORT=x');
    expect(problemsOf({ NODE_ENV: 'Production' })).toEqual([
      'NODE_ENV must be one of `development`, `production`, `test`',
    ]);
  });
});

describe('mail', () => {
  const SENDER = { MAIL_FROM: 'Example <no-reply@example.com>', ACCOUNT_URL: 'https://app.example.com' };

  it('is off in production and in tests until MAIL_URL is set, and goes to files in development', () => {
    expect(load(production).mail).toBeUndefined();
    expect(load({ ...production, NODE_ENV: 'test' }).mail).toBeUndefined();
    expect(load({ NODE_ENV: 'development' }).mail?.transport.kind).toBe('files');
    expect(load({ ...production, NODE_ENV: 'test', MAIL_URL: 'file' }).mail?.transport.kind).toBe('files');
    expect(load({ ...production, ...SENDER, MAIL_URL: 'smtp://relay:25' }).mail?.transport).toEqual({
      kind: 'smtp',
      url: 'smtp://relay:25',
    });
  });

  it('goes to no files in production, where it would reach no one', () => {
    expect(problemsOf({ ...production, ...SENDER, MAIL_URL: 'file' })).toEqual([
      'MAIL_URL must be an SMTP server in production; mails in files reach no one',
    ]);
  });

  it('of a command is off, whatever is set', () => {
    const { NODE_ENV, DATABASE_URL, AUTH_SECRET } = production;
    const env = { NODE_ENV, DATABASE_URL, AUTH_SECRET, MAIL_URL: 'x', EMAIL_SIGN_IN: 'on' };
    expect(loadCommandConfig(env, directory).mail).toBeUndefined();
  });

  it.each([
    ['EMAIL_VERIFICATION', 'required'],
    ['EMAIL_SIGN_IN', 'on'],
    ['NEW_SIGN_IN_MAILS', 'on'],
  ])('is needed for %s=%s', (name, value) => {
    expect(problemsOf({ ...production, [name]: value })).toEqual([`${name}=${value} needs MAIL_URL`]);
    expect(problemsOf({ ...production, ...SENDER, MAIL_URL: 'smtp://relay', [name]: value })).toEqual([]);
    expect(problemsOf({ [name]: value })).toEqual([]);
  });

  it('needs a sender and a page for its links in production, over https', () => {
    expect(problemsOf({ ...production, MAIL_URL: 'smtp://relay' })).toEqual([
      'MAIL_FROM must be set in production when MAIL_URL is',
      'ACCOUNT_URL must be set in production when MAIL_URL is',
    ]);
    const env = { ...production, ...SENDER, MAIL_URL: 'smtp://relay' };
    expect(problemsOf({ ...env, ACCOUNT_URL: 'http://app.example.com' })).toEqual([
      'ACCOUNT_URL must be an https URL in production, unless its host is this machine',
    ]);
    expect(problemsOf({ ...env, ACCOUNT_URL: 'http://localhost:5173/account' })).toEqual([]);
  });

  it('has links to the address of the service until ACCOUNT_URL is set, also on a port that was chosen for it', () => {
    expect(withPort(load({ PORT: '0' }), 4000).mail?.accountUrl).toBe('http://127.0.0.1:4000');
    const set = load({ PORT: '0', ACCOUNT_URL: 'http://localhost:5173' });
    expect(withPort(set, 4000).mail?.accountUrl).toBe('http://localhost:5173');
  });
});

describe('second factors', () => {
  it('are off until they are switched on, and for every command', () => {
    expect(load({}).factors).toBeUndefined();
    const env = { SECOND_FACTORS: 'on', WEBAUTHN_RP_ID: 'example.com' };
    expect(loadCommandConfig({ ...production, ...env }, directory).factors).toBeUndefined();
  });

  it('are named after the host of the issuer, and passkeys belong to the https origin of their domain', () => {
    const on = { ...production, SECOND_FACTORS: 'on' };
    expect(load({ ...on, JWT_ISSUER: 'https://auth.example.com:8443/tenant' }).factors).toEqual({
      totpIssuer: 'auth.example.com',
    });
    expect(load({ ...on, WEBAUTHN_RP_ID: 'example.com' }).factors).toEqual({
      totpIssuer: 'auth.example.com',
      passkeys: { rpId: 'example.com', rpName: 'auth.example.com', origins: ['https://example.com'] },
    });
    expect(load({ SECOND_FACTORS: 'on', JWT_ISSUER: 'http://[::1]:3000' }).factors?.totpIssuer).toBe('Ratchet');
  });
});

describe('the issuer that is not set', () => {
  it.each([
    [{ PORT: '4000' }, 'http://127.0.0.1:4000'],
    [{ HOST: 'localhost', PORT: '4000' }, 'http://localhost:4000'],
    [{ HOST: '::1' }, 'http://[::1]:3000'],
    [{ HOST: '0.0.0.0' }, 'http://127.0.0.1:3000'],
    [{ HOST: '::' }, 'http://[::1]:3000'],
  ])('is the address of the service in development: %j', (env, issuer) => {
    expect(load(env).accessTokens.issuer).toBe(issuer);
  });

  it('follows the port that is chosen for 0, and one that is set does not', () => {
    const chosen = withPort(load({ PORT: '0' }), 4321);
    expect(chosen.http.port).toBe(4321);
    expect(chosen.accessTokens.issuer).toBe('http://127.0.0.1:4321');
    const issuer = 'https://auth.example.com';
    expect(withPort(load({ PORT: '0', JWT_ISSUER: issuer }), 4321).accessTokens.issuer).toBe(issuer);
  });
});

describe('a program', () => {
  const { NODE_ENV, DATABASE_URL, AUTH_SECRET } = production;
  const OF_SERVING = {
    COOKIE_ORIGINS: 'x',
    PORT: 'x',
    METRICS_PORT: 'x',
    CORS_ORIGINS: '*',
    TRUSTED_PROXIES: 'all',
    JWT_ISSUER: 'x',
  };

  it('for migrations needs the database alone, in production too, and writes no secret', () => {
    const others = { ...OF_SERVING, AUTH_SECRET: 'short', PASSWORD_MIN_LENGTH: '1', RATE_LIMITS: 'x' };
    const config = loadDatabaseConfig({ NODE_ENV, DATABASE_URL, ...others }, directory);
    expect(config.database.url).toBe(DATABASE_URL);
    expect(config.runtime.environment).toBe('production');
    expect(loadDatabaseConfig({ DATABASE_URL }, directory).database.url).toBe(DATABASE_URL);
    expect(readdirSync(directory)).toEqual([]);
    expect(() => loadDatabaseConfig({ NODE_ENV }, directory)).toThrow('DATABASE_URL must be set in production');
    expect(() => loadDatabaseConfig({ DATABASE_URL: 'x' }, directory)).toThrow('DATABASE_URL must be a');
  });

  it('for accounts and keys needs the database and the secret, and nothing of what only serving needs', () => {
    const config = loadCommandConfig({ NODE_ENV, DATABASE_URL, AUTH_SECRET, ...OF_SERVING }, directory);
    expect(config.secrets.current).toEqual(Buffer.from(secret));
    expect(() => loadCommandConfig({ NODE_ENV }, directory)).toThrow(
      [
        'The configuration cannot be used:',
        '  - DATABASE_URL must be set in production',
        `  - AUTH_SECRET must be set in production; ${howToMakeASecret}`,
      ].join('\n'),
    );
  });
});

describe('production', () => {
  it('requires every setting whose default is safe in development only', () => {
    expect(problemsOf({ NODE_ENV: 'production' })).toEqual([
      'DATABASE_URL must be set in production',
      `AUTH_SECRET must be set in production; ${howToMakeASecret}`,
      'JWT_ISSUER must be set in production',
      'JWT_AUDIENCE must be set in production',
    ]);
  });

  it('starts when these are set, and writes no file', () => {
    expect(problemsOf(production)).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it.each([
    'https://auth.example.com',
    'http://localhost:3000',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
    'http://auth.localhost',
  ])('accepts the issuer %s', (issuer) => {
    expect(problemsOf({ ...production, JWT_ISSUER: issuer })).toEqual([]);
  });

  it.each([
    'http://auth.example.com',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://10.0.0.1',
  ])('refuses the issuer %s, whose keys could be swapped on the way', (issuer) => {
    expect(problemsOf({ ...production, JWT_ISSUER: issuer })).toEqual([
      'JWT_ISSUER must be an https URL in production, unless its host is this machine',
    ]);
    expect(problemsOf({ ...production, NODE_ENV: 'development', JWT_ISSUER: issuer })).toEqual([]);
  });

  it('never looks at a generated secret that lies in the data directory', () => {
    mkdirSync(join(directory, '.ratchet'));
    writeFile('.ratchet/auth-secret', '');
    expect(problemsOf({ ...production, AUTH_SECRET: '' })).toEqual([
      `AUTH_SECRET must be set in production; ${howToMakeASecret}`,
    ]);
  });
});

describe('variables that belong together', () => {
  it('a database of one’s own needs a secret of one’s own in every environment', () => {
    for (const NODE_ENV of ['development', 'test']) {
      expect(problemsOf({ NODE_ENV, DATABASE_URL: 'postgres://db/ratchet' })).toEqual([
        `AUTH_SECRET must be set when DATABASE_URL is; ${howToMakeASecret}`,
      ]);
    }
  });

  it.each([
    [
      { REFRESH_TOKEN_TTL_SECONDS: '86400' },
      'REFRESH_TOKEN_IDLE_TTL_SECONDS must not be greater than REFRESH_TOKEN_TTL_SECONDS',
    ],
    [
      { REFRESH_TOKEN_IDLE_TTL_SECONDS: '299' },
      'ACCESS_TOKEN_TTL_SECONDS must not be greater than REFRESH_TOKEN_IDLE_TTL_SECONDS',
    ],
  ])('a lifetime never passes the one that contains it: %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([problem]);
  });

  it('a signing key signs for longer than it is published before, or until it is told to stop', () => {
    const publication = { SIGNING_KEY_PUBLICATION_SECONDS: '86400' };
    expect(problemsOf({ ...publication, SIGNING_KEY_ROTATION_DAYS: '1' })).toEqual([
      'SIGNING_KEY_ROTATION_DAYS must be 0 or longer than SIGNING_KEY_PUBLICATION_SECONDS',
    ]);
    for (const SIGNING_KEY_ROTATION_DAYS of ['0', '2']) {
      expect(problemsOf({ ...publication, SIGNING_KEY_ROTATION_DAYS })).toEqual([]);
    }
  });

  it.each([
    [
      { CORS_ORIGINS: 'https://a.example.com, https://b.example.com' },
      'must not have an origin that is in CORS_ORIGINS',
    ],
    [{ ...production, COOKIE_ORIGINS: 'http://localhost:5173' }, 'must be https origins in production'],
    [
      { ...production, JWT_ISSUER: 'http://localhost:3000' },
      'needs an https URL as JWT_ISSUER; outside production, its host may be this machine instead',
    ],
    [
      { JWT_ISSUER: 'http://auth.example.com' },
      'needs an https URL as JWT_ISSUER; outside production, its host may be this machine instead',
    ],
  ])('cookies cannot be read or planted on their way, nor avoided: %j', (env, problem) => {
    expect(problemsOf({ COOKIE_ORIGINS: 'https://b.example.com', ...env })).toEqual([`COOKIE_ORIGINS ${problem}`]);
  });

  it('cookies need no TLS on this machine under development', () => {
    for (const env of [{}, { JWT_ISSUER: 'http://localhost:3000' }, { JWT_ISSUER: 'https://auth.example.com' }]) {
      expect(problemsOf({ COOKIE_ORIGINS: 'http://localhost:5173, http://127.0.0.1:5173', ...env })).toEqual([]);
    }
  });

  it('an access cookie is for cookie origins', () => {
    expect(problemsOf({ ACCESS_COOKIE: 'on' })).toEqual(['ACCESS_COOKIE=on needs COOKIE_ORIGINS']);
  });

  it('settings of second factors need them to be on, and those of passkeys a domain too', () => {
    expect(problemsOf({ TOTP_ISSUER: 'Example', WEBAUTHN_RP_ID: 'example.com' })).toEqual([
      'TOTP_ISSUER needs SECOND_FACTORS=on',
      'WEBAUTHN_RP_ID needs SECOND_FACTORS=on',
    ]);
    const passkeys = { WEBAUTHN_ORIGINS: 'https://example.com', WEBAUTHN_RP_NAME: 'Example' };
    expect(problemsOf({ SECOND_FACTORS: 'on', ...passkeys })).toEqual([
      'WEBAUTHN_ORIGINS needs SECOND_FACTORS=on and WEBAUTHN_RP_ID',
      'WEBAUTHN_RP_NAME needs SECOND_FACTORS=on and WEBAUTHN_RP_ID',
    ]);
    expect(problemsOf({ ...passkeys, WEBAUTHN_RP_ID: 'example.com' })).toHaveLength(3);
  });

  it('passkeys are for the origins of five registrable labels, however many of them each has', () => {
    const problemsWith = (...origins: readonly string[]): readonly string[] =>
      problemsOf({ SECOND_FACTORS: 'on', WEBAUTHN_RP_ID: 'one.com', WEBAUTHN_ORIGINS: origins.join(',') });
    const five = ['one', 'two', 'three', 'four', 'five'].map((label) => `https://${label}.com`);
    const more = ['https://one.de', 'https://www.one.com:8443', 'https://two.co.uk', 'https://three.or.kr'];
    const unlabelled = [
      'http://localhost:5173',
      'http://127.0.0.1:5173',
      'http://[::1]',
      `android:apk-key-hash:${'A'.repeat(43)}`,
    ];
    expect(problemsWith(...five, ...more, ...unlabelled)).toEqual([]);
    for (const sixth of ['https://six.com', 'https://app.seven.de:8443']) {
      expect(problemsWith(...five, sixth)).toEqual([
        'WEBAUTHN_ORIGINS may name 5 registrable labels at most, such as the one of example.com and example.co.uk; browsers ignore the others',
      ]);
    }
  });

  it('passwords are hashed for less than the full cost in tests only', () => {
    for (const env of [{}, { NODE_ENV: 'development' }, production]) {
      expect(problemsOf({ ...env, PASSWORD_HASH_COST: 'least' })).toEqual([
        'PASSWORD_HASH_COST may be least only with NODE_ENV=test',
      ]);
    }
    expect(load({ NODE_ENV: 'test', PASSWORD_HASH_COST: 'least' }).passwords.hashCost).toBe('least');
  });

  it('lifetimes may be equal', () => {
    const ttl = {
      ACCESS_TOKEN_TTL_SECONDS: '60',
      REFRESH_TOKEN_IDLE_TTL_SECONDS: '60',
      REFRESH_TOKEN_TTL_SECONDS: '60',
    };
    expect(problemsOf(ttl)).toEqual([]);
  });

  it('are not compared while one of them is malformed', () => {
    expect(problemsOf({ REFRESH_TOKEN_TTL_SECONDS: '1d' })).toEqual([
      'REFRESH_TOKEN_TTL_SECONDS must be a whole number from 30 to 31536000',
    ]);
  });
});

describe('a secret from a file', () => {
  it.each([
    ['no newline', ''],
    ['a newline', '\n'],
    ['a Windows newline', '\r\n'],
  ])('is the text of the file without %s at its end', (_ending, ending) => {
    const config = load({ AUTH_SECRET_FILE: writeFile('secret', `${secret}${ending}`) });
    expect(config.secrets.current).toEqual(Buffer.from(secret));
  });

  it('loses one newline only; with another it would be a different secret, and so is refused', () => {
    expect(problemsOf({ AUTH_SECRET_FILE: writeFile('secret', `${secret}\n\n`) })).toHaveLength(1);
  });

  it('works for every secret, by a path relative to the working directory', () => {
    writeFile('url', 'postgres://db/ratchet\n');
    writeFile('direct', 'postgres://direct/ratchet\n');
    writeFile('secret', secret);
    writeFile('accepted', `${formerSecret}\n`);
    const config = load({
      DATABASE_URL_FILE: 'url',
      DATABASE_DIRECT_URL_FILE: 'direct',
      AUTH_SECRET_FILE: 'secret',
      AUTH_SECRET_ACCEPTED_FILE: 'accepted',
    });
    expect(config.database).toMatchObject({ url: 'postgres://db/ratchet', directUrl: 'postgres://direct/ratchet' });
    expect(config.secrets).toEqual({ current: Buffer.from(secret), accepted: [Buffer.from(formerSecret)] });
  });

  it('is a problem beside the variable itself, even if both say the same', () => {
    expect(problemsOf({ AUTH_SECRET: secret, AUTH_SECRET_FILE: writeFile('secret', secret) })).toEqual([
      'AUTH_SECRET and AUTH_SECRET_FILE are both set; set one of them',
    ]);
  });

  it('is a problem with its errno code when the file cannot be read, and nothing else stands in', () => {
    mkdirSync(join(directory, 'folder'));
    const env = { ...production, AUTH_SECRET: '', DATABASE_URL: '' };
    expect(problemsOf({ ...env, DATABASE_URL_FILE: 'absent', AUTH_SECRET_FILE: 'folder' })).toEqual([
      'DATABASE_URL_FILE cannot be read (ENOENT)',
      'AUTH_SECRET_FILE cannot be read (EISDIR)',
    ]);
  });

  it.each(['', '\n'])('is a problem when the file is empty (%j), which is not the same as unset', (content) => {
    writeFile('url', content);
    expect(problemsOf({ AUTH_SECRET: secret, DATABASE_URL_FILE: 'url' })).toEqual([
      'DATABASE_URL_FILE is an empty file',
    ]);
  });

  it('is a problem when it is raw bytes, which as text would lose their randomness', () => {
    writeFile(
      'secret',
      Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index),
    );
    expect(problemsOf({ AUTH_SECRET_FILE: 'secret' })).toEqual(['AUTH_SECRET_FILE cannot be read (not UTF-8 text)']);
  });
});

describe('the .env file', () => {
  it.each([
    ['a blank line with a space', ' \nPORT=4000'],
    ['a tab before a name', '\tPORT=4000'],
    ['lines that end as on Windows', '# first\r\n\r\nPORT=4000\r\n'],
    ['spaces around the sign', 'PORT = 4000 '],
    ['single quotes and a comment', "export PORT='4000' # why"],
    ['a mark of its byte order', '\uFEFFPORT=4000'],
  ])('is read alike by every version of Node: with %s', (_case, text) => {
    writeFile('.env', text);
    expect(load({}).http.port).toBe(4000);
  });

  it.each([
    ['AUTH_SECRET=k3Vq9Zx7Lm2Rt8Wp#Yn1Bc6Hd4Fg0J-s', 'in a value that is not quoted as a whole'],
    ['AUTH_SECRET="k3Vq9Zx7Lm2Rt8Wp', 'in a value that is not quoted as a whole'],
    ['AUTH_SECRET="k3Vq9"Zx7Lm2Rt8Wp"', 'in a value that is not quoted as a whole'],
    ['AUTH_SECRET: k3Vq9Zx7Lm2Rt8Wp', 'is not `NAME=value`'],
  ])('is refused by the number of a line whose value would be cut: %s', (line, problem) => {
    writeFile('.env', `HOST=::1\n\n${line}\n`);
    expect(problemsOf({})).toEqual([expect.stringMatching(new RegExp(`^\\.env line 3 .*${problem}$`))]);
  });

  it('is read in development, and the environment wins', () => {
    writeFile('.env', '# comment\nHOST=::1\nPORT="4000"\nLOG_LEVEL=debug # why\n');
    for (const env of [{ PORT: '5000' }, { PORT: '5000', NODE_ENV: 'development' }]) {
      const config = load(env);
      expect([config.http.host, config.http.port, config.runtime.logLevel]).toEqual(['::1', 5000, 'debug']);
    }
  });

  it('is not read in production and in tests', () => {
    writeFile('.env', 'PORT=4000\nLOG_LEVEL=loud\n');
    expect(load({ NODE_ENV: 'test' }).http.port).toBe(3000);
    expect(load(production).http.port).toBe(3000);
  });

  it('stands back where the environment gives the same secret in its other form', () => {
    writeFile('secret', secret);
    writeFile('.env', `AUTH_SECRET=${formerSecret}\n`);
    expect(load({ AUTH_SECRET_FILE: 'secret' }).secrets.current).toEqual(Buffer.from(secret));
    writeFile('.env', 'AUTH_SECRET_FILE=absent\n');
    expect(load({ AUTH_SECRET: secret }).secrets.current).toEqual(Buffer.from(secret));
  });

  it('fills in for an empty variable, as that is an unset one', () => {
    writeFile('.env', 'PORT=4000\n');
    expect(load({ PORT: '' }).http.port).toBe(4000);
  });

  it('cannot turn a start in development into one in production', () => {
    writeFile('.env', 'NODE_ENV=production\n');
    expect(problemsOf({})).toContain(
      'NODE_ENV decides whether .env is read, so .env cannot make it anything but development',
    );
    writeFile('.env', 'NODE_ENV=development\n');
    expect(problemsOf({})).toEqual([]);
  });

  it('is a problem when one of its lines is not an assignment, since the next one would be lost with it', () => {
    writeFile('.env', 'PORT 4000\nACCESS_TOKEN_TTL_SECONDS=60\n');
    expect(problemsOf({})).toEqual(['.env line 1 is not `NAME=value`']);
  });

  it('is a problem when it is there and cannot be read', () => {
    mkdirSync(join(directory, '.env'));
    expect(problemsOf({})).toEqual(['.env cannot be read (EISDIR)']);
  });
});

describe('the secret of the embedded database', () => {
  it('is generated once and kept in the data directory', () => {
    const first = load({ DATA_DIR: 'data' });
    const second = load({ DATA_DIR: 'data' });
    expect(readdirSync(join(directory, 'data'))).toEqual(['auth-secret']);
    expect(first.secrets.current.length).toBeGreaterThanOrEqual(32);
    expect(second.secrets.current).toEqual(first.secrets.current);
  });

  it('is not generated where one is given', () => {
    expect(load({ AUTH_SECRET: secret }).secrets.current).toEqual(Buffer.from(secret));
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is one problem among the others when its file is damaged', () => {
    mkdirSync(join(directory, '.ratchet'));
    writeFile('.ratchet/auth-secret', '');
    expect(problemsOf({ PORT: 'x' })).toEqual([
      'PORT must be a whole number from 0 to 65535',
      expect.stringContaining('the file auth-secret in DATA_DIR is damaged'),
    ]);
  });
});
