import { howToMakeASecret } from './auth-secret.policy.js';
import type { Settings } from './config.settings.js';
import { type ConfigVariable, configVariables } from './config.variables.js';

const DAY_SECONDS = 86_400;

/** What two or more variables must fulfil together. */
interface ConfigRule {
  /** The rule is left out while one of these is malformed: its own problem says enough. */
  readonly concerns: readonly ConfigVariable<unknown>[];
  readonly problem: string;
  isBroken(settings: Settings): boolean;
}

const {
  accessTokenTtlSeconds,
  authSecret,
  databaseDirectUrl,
  databaseUrl,
  jwtAudience,
  jwtIssuer,
  metricsPort,
  nodeEnv,
  port,
  refreshTokenIdleTtlSeconds,
  refreshTokenTtlSeconds,
  signingKeyPublicationSeconds,
  signingKeyRotationDays,
} = configVariables;

const rules: readonly ConfigRule[] = [
  requiredInProduction(databaseUrl),
  requiredInProduction(authSecret, `; ${howToMakeASecret}`),
  requiredInProduction(jwtIssuer),
  requiredInProduction(jwtAudience),
  {
    // Whoever brings a database brings more than one instance, and a generated secret is on one disk only.
    concerns: [nodeEnv],
    problem: `AUTH_SECRET must be set when DATABASE_URL is; ${howToMakeASecret}`,
    isBroken: (settings) => !isProduction(settings) && settings.isSet(databaseUrl) && !settings.isSet(authSecret),
  },
  {
    concerns: [],
    problem: 'DATABASE_DIRECT_URL is set without DATABASE_URL; it is a second way to the same database',
    isBroken: (settings) => settings.isSet(databaseDirectUrl) && !settings.isSet(databaseUrl),
  },
  {
    // RFC 8414 §2: an issuer is an https URL, or whoever stands between serves verifiers keys of his own.
    concerns: [nodeEnv, jwtIssuer],
    problem: 'JWT_ISSUER must be an https URL in production, unless its host is this machine',
    isBroken: (settings) => isProduction(settings) && isPlainHttpElsewhere(settings.get(jwtIssuer)),
  },
  {
    concerns: [metricsPort, port],
    problem: 'METRICS_PORT must be another port than PORT',
    isBroken: (settings) => settings.get(port) !== 0 && settings.get(metricsPort) === settings.get(port),
  },
  notGreater(refreshTokenIdleTtlSeconds, refreshTokenTtlSeconds),
  notGreater(accessTokenTtlSeconds, refreshTokenIdleTtlSeconds),
  {
    // Otherwise a key would have to be published before the one before it signs.
    concerns: [signingKeyRotationDays, signingKeyPublicationSeconds],
    problem: 'SIGNING_KEY_ROTATION_DAYS must be 0 or longer than SIGNING_KEY_PUBLICATION_SECONDS',
    isBroken: (settings) => {
      const rotationSeconds = settings.get(signingKeyRotationDays) * DAY_SECONDS;
      return rotationSeconds > 0 && rotationSeconds <= settings.get(signingKeyPublicationSeconds);
    },
  },
];

/** @returns one problem for each rule that the settings break */
export function findBrokenRules(settings: Settings): readonly string[] {
  return rules
    .filter((rule) => rule.concerns.every((variable) => settings.isSound(variable)) && rule.isBroken(settings))
    .map((rule) => rule.problem);
}

function requiredInProduction(variable: ConfigVariable<unknown>, hint = ''): ConfigRule {
  return {
    concerns: [nodeEnv],
    problem: `${variable.name} must be set in production${hint}`,
    isBroken: (settings) => isProduction(settings) && !settings.isSet(variable),
  };
}

type NumberVariable = ConfigVariable<number> & { readonly default: string };

function notGreater(shorter: NumberVariable, longer: NumberVariable): ConfigRule {
  return {
    concerns: [shorter, longer],
    problem: `${shorter.name} must not be greater than ${longer.name}`,
    isBroken: (settings) => settings.get(shorter) > settings.get(longer),
  };
}

function isProduction(settings: Settings): boolean {
  return settings.get(nodeEnv) === 'production';
}

function isPlainHttpElsewhere(issuer: string): boolean {
  const { protocol, hostname } = new URL(issuer);
  const isLoopback = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  return protocol === 'http:' && !isLoopback;
}
