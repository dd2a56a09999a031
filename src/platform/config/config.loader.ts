import { resolve } from 'node:path';
import { ConfigurationError } from './config.errors.js';
import type { Config, ConfigValues } from './config.js';
import { findBrokenRules } from './config.rules.js';
import { Settings } from './config.settings.js';
import { withDotEnv } from './config.source.js';
import { configVariableGroups, configVariables } from './config.variables.js';
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
  const ignoredVariables = dropDriverVariables();
  const source = withDotEnv(env, workingDirectory);
  const settings = new Settings(source.environment, workingDirectory);
  const existing = findExistingSecret(settings, workingDirectory);
  const problems = [...source.problems, ...settings.problems, ...findBrokenRules(settings), ...existing.problems];
  if (problems.length > 0) {
    throw new ConfigurationError(problems);
  }
  const values = valuesOf(settings);
  const dataDir = resolve(workingDirectory, values.database.dataDir);
  const current = values.secrets.current ?? existing.secret ?? createGeneratedSecret(dataDir);
  return deepFreeze({
    ...values,
    database: { ...values.database, dataDir },
    secrets: { ...values.secrets, current },
    changedSettings: settings.listChanged(),
    ignoredVariables,
  });
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
