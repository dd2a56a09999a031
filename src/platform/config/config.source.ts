import { resolve } from 'node:path';
import { parseEnv } from 'node:util';

import { type ConfigVariable, configVariableList, configVariables, fileVariableName } from './config.variables.js';
import { readTextFile, withoutTrailingNewline } from './text-file.js';

/** An assignment on one line, a comment, or nothing. */
const DOT_ENV_LINE = /^\s*(?:(?:export\s+)?\w+\s*=.*|#.*)?$/;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The environment with the `.env` file of the working directory behind it. The file counts in development only, so
 * that one left in an image or a test run changes nothing, and what the real environment sets wins.
 */
export function withDotEnv(
  environment: Environment,
  workingDirectory: string,
): { readonly environment: Environment; readonly problems: readonly string[] } {
  const nodeEnv = configVariables.nodeEnv;
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
    // Node skips such a line, or glues it to the next one: a variable would be lost without a word.
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

/**
 * The text of every variable that is set, directly or as `NAME_FILE`.
 * @returns texts by variable name, and the names of those that are set but cannot be told
 */
export function readTexts(
  environment: Environment,
  workingDirectory: string,
): { readonly texts: Map<string, string>; readonly unreadable: Set<string>; readonly problems: readonly string[] } {
  const texts = new Map<string, string>();
  const unreadable = new Set<string>();
  const problems: string[] = [];
  for (const variable of configVariableList) {
    const text = readText(environment, variable, workingDirectory);
    if (typeof text === 'string') {
      texts.set(variable.name, text);
    } else if (text !== undefined) {
      unreadable.add(variable.name);
      problems.push(text.problem);
    }
  }
  return { texts, unreadable, problems };
}

/** @returns `undefined` for a variable that is unset or empty, which is the same here */
export function textOf(environment: Environment, name: string): string | undefined {
  return environment[name] === '' ? undefined : environment[name];
}

function readText(
  environment: Environment,
  variable: ConfigVariable<unknown>,
  workingDirectory: string,
): string | { readonly problem: string } | undefined {
  const direct = textOf(environment, variable.name);
  const fileVariable = fileVariableName(variable);
  const path = variable.isSecret ? textOf(environment, fileVariable) : undefined;
  if (path === undefined) {
    return direct;
  }
  if (direct !== undefined) {
    return { problem: `${variable.name} and ${fileVariable} are both set; set one of them` };
  }
  const file = readTextFile(resolve(workingDirectory, path));
  if (file.kind === 'unreadable') {
    return { problem: `${fileVariable} cannot be read (${file.reason})` };
  }
  const text = withoutTrailingNewline(file.text);
  // Not the same as unset: a secret that failed to mount must not fall back to a default.
  return text === '' ? { problem: `${fileVariable} is an empty file` } : text;
}

/** Whether the environment says something about this variable, be it in the other of its two forms. */
function isGiven(environment: Environment, name: string): boolean {
  const variable = configVariableList.find(
    (candidate) => candidate.isSecret && [candidate.name, fileVariableName(candidate)].includes(name),
  );
  const forms = variable === undefined ? [name] : [variable.name, fileVariableName(variable)];
  return forms.some((form) => textOf(environment, form) !== undefined);
}
