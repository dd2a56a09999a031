import { expect, vi } from 'vitest';
import type { ClientOptions } from './options.js';
import { createClient, type RatchetClient } from './client.js';
import type { RecordStore } from './record.js';

/** One request, as the scripted service sees it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly url: string;
  readonly body: Readonly<Record<string, string>>;
  readonly headers: Headers;
  readonly credentials: string | undefined;
  /** The record at the moment at which the request left. */
  readonly stored: string | null;
}

type Reply = Response | Error | ((asked: Asked) => Response | Error | Promise<Response>);

/** A service that answers by a script, and counts tokens up without one. */
export class ScriptedService {
  readonly asked: Asked[] = [];
  /** Taken one by one; then every request is answered well. */
  script: Reply[] = [];
  expiresIn = 300;
  isCookieMode = false;
  isAccessCookie = false;
  private issued = 0;

  constructor(readonly store: SharedText) {}

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const asked = {
      method: init?.method ?? 'GET',
      path: url.pathname.replace(/^\/\d+/, ''),
      url: url.href,
      body: JSON.parse(typeof init?.body === 'string' ? init.body : '{}') as Record<string, string>,
      headers: new Headers(init?.headers),
      credentials: init?.credentials,
      stored: this.store.text,
    };
    this.asked.push(asked);
    const next = this.script.shift() ?? ((): Response => this.pair());
    const reply = await (typeof next === 'function' ? next(asked) : next);
    if (reply instanceof Error) {
      throw reply;
    }
    return reply;
  };

  /** The next tokens, in the shape of the mode. */
  pair(): Response {
    this.issued += 1;
    return json(200, {
      token_type: 'Bearer',
      expires_in: this.expiresIn,
      refresh_expires_in: 1_209_600,
      ...(!this.isAccessCookie && { access_token: `access-${this.issued}` }),
      ...(!this.isCookieMode && { refresh_token: `refresh-${this.issued}` }),
    });
  }

  askedFor(path: string): Asked[] {
    return this.asked.filter((each) => each.path === path);
  }

  get refreshes(): Asked[] {
    return this.askedFor('/auth/refresh');
  }
}

/** A store of several clients, as the tabs of a browser have it. */
export class SharedText implements RecordStore {
  text: string | null = null;
  isBroken = false;

  get(): string | null {
    return this.text;
  }

  set(text: string | null): void {
    if (this.isBroken) {
      throw new Error('QuotaExceededError');
    }
    this.text = text;
  }

  get record(): Record<string, unknown> {
    return JSON.parse(this.text ?? '{}') as Record<string, unknown>;
  }
}

export function json(status: number, body: object, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', ...headers },
  });
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return json(status, { status, code }, headers);
}

/** The network has failed; a CORS refusal looks the same. */
export const lost = (): Error => new TypeError('fetch failed');

export interface Setting {
  readonly service: ScriptedService;
  readonly store: SharedText;
  readonly baseUrl: string;
  /** One more tab. */
  readonly open: (options?: Partial<ClientOptions>) => RatchetClient;
}

let settings = 0;

/**
 * A fake clock, a scripted service and a store that all clients share. Pauses have no jitter. Call `vi.useRealTimers()` and
 * `vi.restoreAllMocks()` after it.
 */
export function setUp(mode: 'cookie' | 'token' = 'token'): Setting {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  // A lock that a test leaves behind is of no other.
  settings += 1;
  const baseUrl = `https://auth.example.com/${settings}`;
  const store = new SharedText();
  const service = new ScriptedService(store);
  service.isCookieMode = mode === 'cookie';
  return {
    service,
    store,
    baseUrl,
    open: (options = {}) => createClient({ baseUrl, mode, store, fetch: service.fetch, ...options }),
  };
}

/** Lets the clock run until the promise is settled. */
export async function within<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
  let isSettled = false as boolean;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  settled.catch(() => undefined);
  for (let passed = 0; passed <= ms && !isSettled; passed += 25) {
    await vi.advanceTimersByTimeAsync(25);
  }
  expect(isSettled).toBe(true);
  return settled;
}

export const ADA = { email: 'ada@example.com', password: 'a long and unlikely sentence' };
