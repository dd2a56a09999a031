/**
 * The configuration cannot be used. `message` lists every problem, one per line, so that a person mends them in one
 * go; a problem names variables and what is expected of them and never repeats a value.
 */
export class ConfigurationError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(['The configuration cannot be used:', ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.name = 'ConfigurationError';
  }
}
