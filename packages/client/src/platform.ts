/**
 * What the client uses of a browser, where it is there: Node and React Native lack most of it. Declared here instead of
 * taken from TypeScript's DOM library, so that the compiler asks for each whether it is there.
 */
interface Browser {
  readonly navigator?: { readonly onLine?: boolean; readonly locks?: Locks; readonly credentials?: Credentials };
  readonly PublicKeyCredential?: { isConditionalMediationAvailable?(): Promise<boolean> };
  readonly document?: Listenable & {
    readonly baseURI: string;
    readonly visibilityState: string;
    readonly prerendering?: boolean;
  };
  readonly localStorage?: {
    getItem(name: string): string | null;
    setItem(name: string, value: string): void;
    removeItem(name: string): void;
  };
  readonly location?: { readonly hash: string; readonly pathname: string; readonly search: string };
  readonly history?: {
    readonly state: unknown;
    replaceState(state: unknown, unused: string, url: string): void;
  };
  readonly addEventListener?: Listenable['addEventListener'];
  readonly removeEventListener?: Listenable['removeEventListener'];
  readonly BroadcastChannel?: new (name: string) => Channel;
  readonly reportError?: (error: unknown) => void;
}

export interface Listenable {
  addEventListener(type: string, listener: (event: object) => void): void;
  removeEventListener(type: string, listener: (event: object) => void): void;
}

/** A `BroadcastChannel`; in Node an open one keeps the process alive unless `unref` is called. */
export interface Channel {
  onmessage: unknown;
  postMessage(message: unknown): void;
  close(): void;
  unref?(): void;
}

/** The part of the Web Locks API that is used. */
export interface Locks {
  request<T>(name: string, options: { readonly signal: AbortSignal }, work: () => Promise<T>): Promise<T>;
}

/** The part of the Credential Management API that is used. */
interface Credentials {
  create(options: object): Promise<object | null>;
  get(options: object): Promise<object | null>;
}

export const browser = globalThis as Browser;

/** The time of day in milliseconds, which people and programs can set. */
export function wallMs(): number {
  // eslint-disable-next-line no-restricted-properties -- the one place that reads the clock
  return Date.now();
}

/** Milliseconds on a clock that nobody sets, and that may stand still while the device sleeps. */
export function tickMs(): number {
  return performance.now();
}

/** A signal that is aborted after a time, unless `end` is called before. */
export function timeLimit(ms: number): { readonly signal: AbortSignal; readonly end: () => void } {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, ms);
  return {
    signal: late.signal,
    end: () => {
      clearTimeout(timer);
    },
  };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Rejects with the signal's reason; the promise goes on. */
export function abortable<T>(promise: Promise<T>, signal?: AbortSignal | null): Promise<T> {
  if (!signal) {
    return promise;
  }
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) {
      abort();
    }
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort);
    });
  });
}

/** 128 random bits in 22 characters of base64. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).slice(0, 22);
}

/** Shows an error of a listener where the browser shows uncaught ones, without ending a Node process. */
export function report(error: unknown): void {
  // eslint-disable-next-line no-console -- Node has no other place for it
  (browser.reportError ?? console.error)(error);
}

/** Makes locks for where there are no Web Locks: in this process only. */
export function localLocks(): Locks {
  const last = new Map<string, Promise<unknown>>();
  return {
    request: (name, { signal }, work) => {
      const before = last.get(name);
      const aborted = new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', reject);
      });
      const turn = Promise.race([before, aborted]).then(work);
      last.set(name, Promise.allSettled([before, turn]));
      return turn;
    },
  };
}

/** For clients of one page that share a store, where there are no Web Locks. */
export const pageLocks = localLocks();
