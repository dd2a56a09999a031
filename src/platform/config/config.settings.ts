import { type ConfigVariable, configVariableList } from './config.variables.js';

/** The texts of the variables that are set, and which of them are of no use. */
export class Settings {
  /**
   * @param texts by variable name; unset variables are absent
   * @param unsound names of variables that are set but unreadable or malformed
   */
  constructor(
    private readonly texts: ReadonlyMap<string, string>,
    private readonly unsound: ReadonlySet<string>,
  ) {}

  /** Also true of a variable that is set to something unusable: the person meant to set it. */
  isSet(variable: ConfigVariable<unknown>): boolean {
    return this.texts.has(variable.name) || this.unsound.has(variable.name);
  }

  isSound(variable: ConfigVariable<unknown>): boolean {
    return !this.unsound.has(variable.name);
  }

  /**
   * The value given, else the default.
   * @throws Error when the variable is not sound; whoever asks has checked that first
   */
  get<T>(variable: ConfigVariable<T> & { readonly default: string }): T;
  get<T>(variable: ConfigVariable<T>): T | undefined;
  get<T>(variable: ConfigVariable<T>): T | undefined {
    const text = this.texts.get(variable.name) ?? variable.default;
    if (text === undefined && this.isSound(variable)) {
      return undefined;
    }
    const value = text === undefined ? undefined : variable.parser.parse(text);
    if (value === undefined) {
      throw new Error(`${variable.name} was used before it was checked`);
    }
    return value;
  }

  /** One text per variable whose value is not its default, fit for a log: a secret is only said to be set. */
  listChanged(): readonly string[] {
    return configVariableList.flatMap(({ name, isSecret, default: defaultText }) => {
      const text = this.texts.get(name);
      if (text === undefined || text === defaultText) {
        return [];
      }
      return [isSecret ? `${name} (set)` : `${name}=${withoutCredentials(text)}`];
    });
  }
}

/** Only secrets may hold credentials, but a URL with a password can be pasted into `DATA_DIR` as well. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/g, '//[redacted]@');
}
