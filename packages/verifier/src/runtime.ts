/** What the package takes from the process it runs in; tests bring their own. */
export interface Runtime {
  readonly fetch: Fetch;
  /** The time of day, which `exp` and `iat` are compared with. */
  now(): Date;
  /** Milliseconds on a clock that never goes backwards. */
  monotonicMs(): number;
  /** Resolves after that long, or as soon as the signal is aborted; keeps no process alive. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  /** From 0 up to, not including, 1. */
  random(): number;
}

/** As much of the Fetch standard as is needed, so that a `fetch` of one's own is easily written. */
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
  text(): Promise<string>;
}

export function processRuntime(fetchOfCaller: Fetch | undefined): Runtime {
  return {
    fetch: fetchOfCaller ?? fetch,
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    pause: pauseUnreferenced,
    random: () => Math.random(),
  };
}

function pauseUnreferenced(ms: number, signal: AbortSignal): Promise<void> {
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
    const timer = setTimeout(end, ms).unref();
    signal.addEventListener('abort', end);
  });
}
