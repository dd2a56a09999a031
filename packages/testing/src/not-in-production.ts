import { RatchetTestError } from './errors.js';

/** @throws RatchetTestError when the process says that it is production */
export function requireNoProduction(what: string): void {
  if (process.env['NODE_ENV'] === 'production') {
    throw new RatchetTestError(
      `${what} does not run with NODE_ENV=production: its keys and passwords are for tests. Set NODE_ENV=test.`,
      { code: 'start_failed' },
    );
  }
}
