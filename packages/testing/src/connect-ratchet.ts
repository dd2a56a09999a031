import type { HealthAnswer, NamespaceAnswer } from './contract.js';
import { RatchetTestError } from './errors.js';
import { callJson } from './http.js';
import { Namespace } from './namespace.js';

/** What test runners call their workers: Jest, Vitest, Playwright. */
const WORKER_VARIABLES = ['JEST_WORKER_ID', 'VITEST_POOL_ID', 'TEST_PARALLEL_INDEX'];

export interface ConnectOptions {
  /** Default: `RATCHET_TEST_URL`, which `startRatchet()` and `ratchet-test` set. */
  readonly testUrl?: string;
}

export interface NamespaceOptions {
  /**
   * Settings of the service by the names of their environment variables: `{ ACCESS_TOKEN_TTL_SECONDS: '60' }`. They are in
   * addition to those of `startRatchet()`.
   */
  readonly config?: Readonly<Record<string, string>>;
}

/**
 * Returns a connection to a runner that is up. It sends nothing yet.
 *
 * @throws RatchetTestError `not_started` when there is no address
 */
export function connectRatchet({ testUrl = process.env['RATCHET_TEST_URL'] }: ConnectOptions = {}): Ratchet {
  if (testUrl === undefined || testUrl === '') {
    throw new RatchetTestError(
      'RATCHET_TEST_URL is not set. Call startRatchet() in the global set-up of your tests, run them by ' +
        '`ratchet-test -- <command>`, or pass testUrl.',
      { code: 'not_started' },
    );
  }
  return new Ratchet(testUrl.replace(/\/+$/, ''));
}

/** A runner that is up. */
export class Ratchet {
  /** Use `connectRatchet()`. */
  constructor(
    /** The base of the test routes: `http://127.0.0.1:4010/test`. */
    readonly testUrl: string,
  ) {}

  /**
   * Makes a namespace, or returns the one of that name: a whole Ratchet with a database, an issuer, keys and a clock of its
   * own. A runner has 64 at most.
   *
   * @param name of `a` to `z`, digits and `-`, 40 characters at most. Default: one for each worker of Jest, Vitest and
   *   Playwright, and for each process of other runners.
   * @throws RatchetTestError `too_many_namespaces`, or for a name or a setting that is not accepted
   */
  async namespace(name: string = nameOfWorker(), { config }: NamespaceOptions = {}): Promise<Namespace> {
    const url = `${this.testUrl}/${encodeURIComponent(name)}`;
    const answer = (await callJson('PUT', url, config === undefined ? {} : { config })) as NamespaceAnswer;
    return new Namespace(answer, url);
  }

  /** Returns what is running. */
  async health(): Promise<HealthAnswer> {
    return (await callJson('GET', `${this.testUrl}/health`)) as HealthAnswer;
  }
}

function nameOfWorker(): string {
  const index = WORKER_VARIABLES.map((name) => process.env[name]).find((value) => value !== undefined && value !== '');
  return index === undefined ? `p${process.pid}` : `w${index}`;
}
