import { resolve } from 'node:path';
import { parseEnv } from 'node:util';

import { configVariableList, configVariables, fileVariableName } from './config.variables.js';
import { readTextFile } from './text-file.js';

/** An assignment on one line, a comment, or nothing. */
const DOT_ENV_LINE = /^\s*(?:(?:export\s+)?\w+\s*=.*|#.*)?$/;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Adds what the `.env` file of the working directory sets to the environment, which takes precedence. The file is read
 * in development only, so that one left in an image or a test run changes nothing.
 */
export function withDotEnv(
  environment: Environment,
  workingDirectory: string,
): { readonly environment: Environment; readonly problems: readonly string[] } {
  const nodeEnv = configVariables.runtime.environment;
  if ((textOf(environment, nodeEnv.name) ?? nodeEnv.default) !== 'development') {
    return { environment, problems: [] };
  }
  const file = readTextFile(resolve(workingDirectory, '.env'));
  if (file.kind === 'unreadable') {
    return { environment, problems: file.reason === 'ENOENT' ? [] : [`.env cannot be read (${file.reason})`] };
  }
  const dotEnv: Environment = parseEnv(file.text);
  const problems: string[] = [];
  if (file.text.split(/\r?\n/).some((line) => !DOT_ENV_LINE.test(line))) {
    // Node skips such a line or joins it to the next one, so a variable would be lost without notice.
    problems.push('.env has a line that is not `NAME=value`');
  }
  if ((textOf(dotEnv, nodeEnv.name) ?? 'development') !== 'development') {
    problems.push(`${nodeEnv.name} decides whether .env is read, so .env cannot make it anything but development`);
  }
  const merged: Record<string, string | undefined> = { ...environment };
  for (const [name, text] of Object.entries(dotEnv)) {
    if (!isGiven(environment, name)) {
      merged[name] = text;
    }
  }
  return { environment: merged, problems };
}

/** Returns the text of a variable. An empty variable counts as unset. */
export function textOf(environment: Environment, name: string): string | undefined {
  return environment[name] === '' ? undefined : environment[name];
}

/** Whether the environment sets this variable, as `NAME` or as `NAME_FILE`. */
function isGiven(environment: Environment, name: string): boolean {
  const variable = configVariableList.find(
    (candidate) => candidate.isSecret === true && [candidate.name, fileVariableName(candidate)].includes(name),
  );
  const forms = variable === undefined ? [name] : [variable.name, fileVariableName(variable)];
  return forms.some((form) => textOf(environment, form) !== undefined);
}
