import { resolve } from 'node:path';

import { configVariableList, configVariables, fileVariableName } from './config.variables.js';
import { readTextFile } from './text-file.js';

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
  const { values: dotEnv, problems } = parseDotEnv(file.text);
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

const ASSIGNMENT = /^\s*(?:export\s+)?(\w+)\s*=(.*)$/;
const QUOTED = /^(["'`])(.*)\1(?:\s+#.*)?$/;

/**
 * Reads assignments, one a line. Our own reader, because that of Node differs between its versions: after a blank line
 * with a space in it Node 20 loses the next variable. A line that two readers could understand differently is a problem
 * and named by its number: what is left after a closing quote, and a `#` in a value that is not quoted.
 */
function parseDotEnv(text: string): { readonly values: Environment; readonly problems: string[] } {
  const values: Record<string, string> = {};
  const problems: string[] = [];
  text.split(/\r\n|\n|\r/).forEach((line, index) => {
    if (/^\s*(?:#.*)?$/.test(line)) {
      return;
    }
    const [, name, written] = ASSIGNMENT.exec(line) ?? [];
    const value = written === undefined ? undefined : readValue(written.trim());
    if (name === undefined) {
      problems.push(`.env line ${index + 1} is not \`NAME=value\``);
    } else if (value === undefined) {
      problems.push(`.env line ${index + 1} has a quote or a \`#\` in a value that is not quoted as a whole`);
    } else {
      values[name] = value;
    }
  });
  return { values, problems };
}

/** @returns undefined for a value that could be a comment as well */
function readValue(written: string): string | undefined {
  const [, quote, quoted] = QUOTED.exec(written) ?? [];
  if (quote !== undefined && quoted !== undefined) {
    if (quoted.includes(quote)) {
      return undefined;
    }
    return quote === '"' ? quoted.replaceAll('\\n', '\n') : quoted;
  }
  const value = written.replace(/(?:^|\s+)#.*$/, '');
  return /^["'`]|#/.test(value) ? undefined : value;
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
