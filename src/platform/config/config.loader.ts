import { resolve } from 'node:path';

import { ConfigurationError } from './config.errors.js';
import type { Config } from './config.js';
import { findBrokenRules } from './config.rules.js';
import { Settings } from './config.settings.js';
import { type Environment, readTexts, textOf, withDotEnv } from './config.source.js';
import { configVariableList, configVariables as variables } from './config.variables.js';
import { createGeneratedSecret, findGeneratedSecret } from './generated-secret.js';
import { LoadedConfig } from './loaded-config.js';

/**
 * Reads, checks and freezes the whole configuration, or names everything that is wrong with it at once. No value of a
 * variable is ever part of a problem. Writes nothing but the generated secret, and that only when all else is right.
 * @param workingDirectory where `.env` is looked for and relative paths begin
 * @throws ConfigurationError when a variable is missing or malformed, or contradicts another
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env, workingDirectory = process.cwd()): Config {
  const source = withDotEnv(env, workingDirectory);
  const { settings, problems: settingProblems } = readSettings(source.environment, workingDirectory);
  const existing = findExistingSecret(settings, workingDirectory);
  const problems = [
    ...source.problems,
    ...findRemoved(source.environment),
    ...settingProblems,
    ...findBrokenRules(settings),
    ...existing.problems,
  ];
  if (problems.length > 0) {
    throw new ConfigurationError(problems);
  }
  const dataDir = resolve(workingDirectory, settings.get(variables.dataDir));
  const currentSecret = settings.get(variables.authSecret) ?? existing.secret ?? createGeneratedSecret(dataDir);
  return deepFreeze(new LoadedConfig(settings, dataDir, currentSecret));
}

/** Ignoring a variable of an earlier version would change a deployment without notice, so the start is refused. */
function findRemoved(environment: Environment): readonly string[] {
  const workers = textOf(environment, 'WORKERS') ?? '1';
  return workers === '1' ? [] : ['WORKERS has been removed; unset it, and run replicas behind the gateway instead'];
}

function readSettings(
  environment: Environment,
  workingDirectory: string,
): { readonly settings: Settings; readonly problems: readonly string[] } {
  const { texts, unreadable, problems } = readTexts(environment, workingDirectory);
  const malformed = configVariableList.filter(({ name, parser }) => {
    const text = texts.get(name);
    return text !== undefined && parser.parse(text) === undefined;
  });
  const expectations = malformed.map(
    ({ name, parser }) => `${name} must be ${parser.accepts}${parser.hint === undefined ? '' : `; ${parser.hint}`}`,
  );
  return {
    settings: new Settings(texts, new Set([...unreadable, ...malformed.map(({ name }) => name)])),
    problems: [...problems, ...expectations],
  };
}

function findExistingSecret(
  settings: Settings,
  workingDirectory: string,
): { readonly secret?: Buffer; readonly problems: readonly string[] } {
  const { authSecret, databaseUrl, dataDir, nodeEnv } = variables;
  const isEmbedded =
    !settings.isSet(databaseUrl) && settings.isSound(nodeEnv) && settings.get(nodeEnv) !== 'production';
  if (settings.isSet(authSecret) || !isEmbedded || !settings.isSound(dataDir)) {
    return { problems: [] };
  }
  try {
    const secret = findGeneratedSecret(resolve(workingDirectory, settings.get(dataDir)));
    return secret === undefined ? { problems: [] } : { secret, problems: [] };
  } catch (error) {
    if (error instanceof ConfigurationError) {
      return { problems: error.problems };
    }
    throw error;
  }
}

/** Buffers stay as they are: the language has no way to freeze them. */
function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null && !ArrayBuffer.isView(member)) {
      deepFreeze(member);
    }
  }
  return Object.freeze(value);
}
