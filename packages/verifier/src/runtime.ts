/** What the package uses of its process; tests bring their own. */
export interface Runtime {
  readonly fetch: Fetch;
  /** The time of day, which `exp` and `iat` are compared with. */
  now(): Date;
  /** Milliseconds on a clock that never goes backwards. */
  monotonicMs(): number;
  /** Resolves after `ms`, or as soon as the signal is aborted. Keeps the process alive only if the caller awaits it. */
  pause(ms: number, signal: AbortSignal, options?: { readonly isAwaitedByCaller: boolean }): Promise<void>;
  /** A number of at least 0 and below 1. */
  random(): number;
  /** Whether `NODE_ENV` is `production`; then the keys of Ratchet's test kit are refused. */
  readonly isProduction: boolean;
}

/** The part of the Fetch standard that is used, so that a custom `fetch` is easy to write. */
export type Fetch = (
  url: string,
  init: {
    readonly headers: Record<string, string>;
    readonly signal: AbortSignal;
    readonly redirect: 'error';
    readonly cache: 'no-store';
  },
) => Promise<FetchAnswer>;

export interface FetchAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  /** Read piece by piece where it is there, so that a long answer does not fill the memory. */
  readonly body?: AsyncIterable<Uint8Array> | null;
  text(): Promise<string>;
}

export function processRuntime(fetchOfCaller?: Fetch, nowOfCaller?: () => Date): Runtime {
  return {
    fetch: fetchOfCaller ?? fetch,
    now: nowOfCaller ?? (() => new Date()),
    monotonicMs: () => performance.now(),
    pause,
    random: () => Math.random(),
    // eslint-disable-next-line no-restricted-properties -- the one thing that the package takes from the environment
    isProduction: process.env['NODE_ENV'] === 'production',
  };
}

function pause(ms: number, signal: AbortSignal, { isAwaitedByCaller } = { isAwaitedByCaller: false }): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (!isAwaitedByCaller) {
      timer.unref();
    }
    signal.addEventListener('abort', end);
  });
}
