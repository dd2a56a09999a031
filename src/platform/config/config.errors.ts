/**
 * The configuration is invalid. `message` lists every problem, one per line, so that an operator fixes all of them at
 * once. A problem names variables and what they accept, and never repeats a value.
 */
export class ConfigurationError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(['The configuration cannot be used:', ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.name = 'ConfigurationError';
  }
}
