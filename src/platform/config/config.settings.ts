import { resolve } from 'node:path';

import type { Parser } from './config.parsers.js';
import { type Environment, textOf } from './config.source.js';
import { type ConfigVariable, configVariableList, fileVariableName } from './config.variables.js';
import { readTextFile, withoutTrailingNewline } from './text-file.js';

/** A variable that has a value even when it is unset. */
type AlwaysValued<T> = ConfigVariable<T> & ({ readonly default: string } | { readonly parser: { readonly empty: T } });

/** The texts of the variables that are set, directly or as `NAME_FILE`, each checked by its parser. */
export class Settings {
  private readonly texts = new Map<string, string>();
  private readonly problemByName = new Map<string, string>();

  /** @param variables those to read; all others count as unset */
  constructor(
    environment: Environment,
    workingDirectory: string,
    private readonly variables: readonly ConfigVariable<unknown>[] = configVariableList,
  ) {
    for (const variable of variables) {
      const reading = readVariable(environment, variable, workingDirectory);
      if (reading !== undefined && 'problem' in reading) {
        this.problemByName.set(variable.name, reading.problem);
      } else if (reading !== undefined) {
        this.texts.set(variable.name, reading.text);
      }
    }
  }

  /** One problem for each variable that is set but unreadable or malformed. */
  get problems(): readonly string[] {
    return [...this.problemByName.values()];
  }

  /** Also true of a variable that is set to something unusable: the operator meant to set it. */
  isSet(variable: ConfigVariable<unknown>): boolean {
    return this.texts.has(variable.name) || !this.isSound(variable);
  }

  isRead(variable: ConfigVariable<unknown>): boolean {
    return this.variables.includes(variable);
  }

  isSound(variable: ConfigVariable<unknown>): boolean {
    return !this.problemByName.has(variable.name);
  }

  /**
   * Returns the value given, else the default.
   * @throws Error when the variable is not sound; the caller checks that first
   */
  get<T>(variable: AlwaysValued<T>): T;
  get<T>(variable: ConfigVariable<T>): T | undefined;
  get<T>({ name, default: defaultText, parser }: ConfigVariable<T>): T | undefined {
    if (this.problemByName.has(name)) {
      throw new Error(`${name} was used before it was checked`);
    }
    const text = this.texts.get(name) ?? defaultText;
    return text === undefined ? parser.empty : parser.parse(text);
  }

  /** Returns one text per variable whose value is not its default, fit for a log: a secret is only said to be set. */
  listChanged(): readonly string[] {
    return configVariableList.flatMap(({ name, isSecret, default: defaultText }) => {
      const text = this.texts.get(name);
      if (text === undefined || text === defaultText) {
        return [];
      }
      return [isSecret === true ? `${name} (set)` : `${name}=${withoutCredentials(text)}`];
    });
  }
}

function readVariable(
  environment: Environment,
  variable: ConfigVariable<unknown>,
  workingDirectory: string,
): { readonly text: string } | { readonly problem: string } | undefined {
  const reading = readText(environment, variable, workingDirectory);
  if (reading === undefined || 'problem' in reading || variable.parser.parse(reading.text) !== undefined) {
    return reading;
  }
  const { parser } = variable;
  return { problem: `${variable.name} ${parser.explain?.(reading.text) ?? `must be ${expectationOf(parser)}`}` };
}

function expectationOf({ accepts, hint }: Parser<unknown>): string {
  return hint === undefined ? accepts : `${accepts}; ${hint}`;
}

function readText(
  environment: Environment,
  variable: ConfigVariable<unknown>,
  workingDirectory: string,
): { readonly text: string } | { readonly problem: string } | undefined {
  const direct = textOf(environment, variable.name);
  const fileVariable = fileVariableName(variable);
  const path = variable.isSecret === true ? textOf(environment, fileVariable) : undefined;
  if (path === undefined) {
    return direct === undefined ? undefined : { text: direct };
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
  return text === '' ? { problem: `${fileVariable} is an empty file` } : { text };
}

/** Only secrets may hold credentials, but a URL with a password can be pasted into `DATA_DIR` as well. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/g, '//[redacted]@');
}
