import { isIPv6 } from 'node:net';
import { join, resolve } from 'node:path';
import { ConfigurationError } from './config.errors.js';
import type { Config, ConfigValues, FactorsConfig, MailConfig } from './config.js';
import { findBrokenRules } from './config.rules.js';
import { Settings } from './config.settings.js';
import { withDotEnv } from './config.source.js';
import { type ConfigVariable, configVariableGroups, configVariableList, configVariables } from './config.variables.js';
import { dropDriverVariables } from './driver-variables.js';
import { createGeneratedSecret, findGeneratedSecret } from './generated-secret.js';

/**
 * Reads, checks and freezes the whole configuration, or reports every problem at once. A problem never contains the
 * value of a variable. Writes nothing except the generated secret, and that only when there is no problem. Drops what
 * the database driver would read from the environment by itself.
 * @param workingDirectory holds `.env`, and relative paths start in it
 * @throws ConfigurationError when a variable is missing or malformed, or contradicts another
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env, workingDirectory = process.cwd()): Config {
  return load(env, workingDirectory, configVariableList);
}

/**
 * Like `loadConfig`, for the commands that change accounts and keys. They neither listen nor issue access tokens, so
 * what only serving needs is not read: it may be absent in production, or malformed.
 */
export function loadCommandConfig(env: NodeJS.ProcessEnv = process.env, workingDirectory = process.cwd()): Config {
  return load(env, workingDirectory, VARIABLES_OF_COMMANDS);
}

export type DatabaseConfig = Pick<Config, 'database' | 'runtime' | 'ignoredVariables'>;

/** Like `loadConfig`, for migrations: reads what says where the database is, and writes nothing. */
export function loadDatabaseConfig(
  env: NodeJS.ProcessEnv = process.env,
  workingDirectory = process.cwd(),
): DatabaseConfig {
  const { database, runtime } = configVariables;
  const variables = [...Object.values(database), runtime.environment];
  const { settings, ignoredVariables, problems } = readSettings(env, workingDirectory, variables);
  if (problems.length > 0) {
    throw new ConfigurationError(problems);
  }
  const values = valuesOf(settings);
  return deepFreeze({
    database: withDataDir(values.database, workingDirectory),
    runtime: values.runtime,
    ignoredVariables,
  });
}

const VARIABLES_OF_COMMANDS = configVariableList.filter((variable) => {
  const { http, cookies, metrics, accessTokens, mail, factors } = configVariables;
  const ofServing: readonly ConfigVariable<unknown>[] = [
    ...Object.values(http),
    ...Object.values(cookies),
    ...Object.values(metrics),
    ...Object.values(mail),
    ...Object.values(factors),
    accessTokens.issuer,
    accessTokens.audience,
  ];
  return !ofServing.includes(variable);
});

/**
 * Puts the port in place of 0, which is not known when the configuration is read. What is derived from it follows.
 */
export function withPort(config: Pick<Config, keyof Config>, port: number): Config {
  const { accessTokens, http, mail, runtime } = config;
  const derived = issuerWhenUnset(runtime.environment, http);
  const follow = (url: string): string =>
    url === derived ? issuerWhenUnset(runtime.environment, { ...http, port }) : url;
  return deepFreeze({
    ...config,
    http: { ...http, port },
    accessTokens: { ...accessTokens, issuer: follow(accessTokens.issuer) },
    mail: mail && { ...mail, accountUrl: follow(mail.accountUrl) },
  });
}

function load(env: NodeJS.ProcessEnv, workingDirectory: string, variables: readonly ConfigVariable<unknown>[]): Config {
  const { settings, ignoredVariables, problems } = readSettings(env, workingDirectory, variables);
  const existing = findExistingSecret(settings, workingDirectory);
  if (problems.length + existing.problems.length > 0) {
    throw new ConfigurationError([...problems, ...existing.problems]);
  }
  const values = valuesOf(settings);
  const database = withDataDir(values.database, workingDirectory);
  const current = values.secrets.current ?? existing.secret ?? createGeneratedSecret(database.dataDir);
  const issuer = values.accessTokens.issuer ?? issuerWhenUnset(values.runtime.environment, values.http);
  return deepFreeze({
    ...values,
    mail: variables.includes(configVariables.mail.transport)
      ? mailOf(values, { dataDir: database.dataDir, issuer, workingDirectory })
      : undefined,
    factors: factorsOf(values, issuer),
    database,
    secrets: { ...values.secrets, current },
    accessTokens: { ...values.accessTokens, issuer },
    changedSettings: settings.listChanged(),
    ignoredVariables,
  });
}

function readSettings(
  env: NodeJS.ProcessEnv,
  workingDirectory: string,
  variables: readonly ConfigVariable<unknown>[],
): {
  readonly settings: Settings;
  readonly ignoredVariables: readonly string[];
  readonly problems: readonly string[];
} {
  const ignoredVariables = dropDriverVariables();
  const source = withDotEnv(env, workingDirectory);
  const settings = new Settings(source.environment, workingDirectory, variables);
  return {
    settings,
    ignoredVariables,
    problems: [...source.problems, ...settings.problems, ...findBrokenRules(settings)],
  };
}

function withDataDir(database: ConfigValues['database'], workingDirectory: string): Config['database'] {
  return { ...database, dataDir: resolve(workingDirectory, database.dataDir) };
}

/** In development, mails that no server takes become files. */
function mailOf(
  { mail, runtime }: ConfigValues,
  {
    dataDir,
    issuer,
    workingDirectory,
  }: { readonly dataDir: string; readonly issuer: string; readonly workingDirectory: string },
): MailConfig | undefined {
  const transport = mail.transport ?? (runtime.environment === 'development' ? { kind: 'files' as const } : undefined);
  if (transport === undefined) {
    return undefined;
  }
  return {
    ...mail,
    transport: transport.kind === 'files' ? { kind: 'files', dir: join(dataDir, 'mails') } : transport,
    from: mail.from ?? { name: 'Ratchet', address: 'ratchet@localhost' },
    accountUrl: mail.accountUrl ?? issuer,
    templatesDir: mail.templatesDir === undefined ? undefined : resolve(workingDirectory, mail.templatesDir),
  };
}

/** The host stands without its port, and an IPv6 address, all of whose spellings have colons, is not used. */
function factorsOf({ factors }: ConfigValues, issuer: string): FactorsConfig | undefined {
  if (!factors.isOn) {
    return undefined;
  }
  const { hostname } = new URL(issuer);
  const totpIssuer = factors.totpIssuer ?? (hostname.includes(':') ? 'Ratchet' : hostname);
  const { rpId, origins, rpName = totpIssuer } = factors;
  return {
    totpIssuer,
    passkeys:
      rpId === undefined ? undefined : { rpId, rpName, origins: origins.length > 0 ? origins : [`https://${rpId}`] },
  };
}

/** In development it is where the service listens, so that a client can discover it there. Tests have one for all. */
function issuerWhenUnset(environment: Config['runtime']['environment'], http: Config['http']): string {
  return environment === 'development' ? urlOf(http) : 'http://localhost:3000';
}

/** Returns the address at which this machine reaches a service that listens on `host`. */
export function urlOf({ host, port }: Pick<Config['http'], 'host' | 'port'>): string {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${isIPv6(name) ? `[${name}]` : name}:${port}`;
}

/** The type is derived from `configVariables` member by member, as the object is here. */
function valuesOf(settings: Settings): ConfigValues {
  return mapMembers(configVariableGroups, (group) =>
    mapMembers(group, (variable) => settings.get(variable)),
  ) as ConfigValues;
}

function mapMembers<T>(object: Readonly<Record<string, T>>, change: (member: T) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([name, member]) => [name, change(member)]));
}

function findExistingSecret(
  settings: Settings,
  workingDirectory: string,
): { readonly secret?: Buffer; readonly problems: readonly string[] } {
  const { database, runtime, secrets } = configVariables;
  const isEmbedded =
    !settings.isSet(database.url) &&
    settings.isSound(runtime.environment) &&
    settings.get(runtime.environment) !== 'production';
  if (settings.isSet(secrets.current) || !isEmbedded || !settings.isSound(database.dataDir)) {
    return { problems: [] };
  }
  try {
    const secret = findGeneratedSecret(resolve(workingDirectory, settings.get(database.dataDir)));
    return secret === undefined ? { problems: [] } : { secret, problems: [] };
  } catch (error) {
    if (error instanceof ConfigurationError) {
      return { problems: error.problems };
    }
    throw error;
  }
}

/** Buffers stay as they are, because JavaScript cannot freeze them. */
function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null && !ArrayBuffer.isView(member)) {
      deepFreeze(member);
    }
  }
  return Object.freeze(value);
}
