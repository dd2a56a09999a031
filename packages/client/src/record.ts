import { browser } from './platform.js';

/**
 * Keeps the record of a session, one text.
 *
 * The record holds the refresh token and, while a refresh is under way, the key that makes repeating it safe. Both have to
 * be in one item, so that a tab that reads the token finds its key.
 */
export interface RecordStore {
  /** Returns what was set last, `null` if nothing was. */
  get(): string | null | Promise<string | null>;
  /** Replaces it as a whole; `null` removes it. */
  set(text: string | null): void | Promise<void>;
  /** Whether other tabs or clients read the same. Default: true. */
  readonly isShared?: boolean;
  /** The longest text that it takes. A longer record is kept without its access token. */
  readonly maxLength?: number;
}

/** What the store holds. */
export interface SessionRecord {
  readonly v: 1;
  /** Made at the sign-in, so that another sign-in is noticed. Not the service's id. */
  readonly session: string;
  /** How often it has been refreshed. */
  readonly refreshed: number;
  /** In token mode. In cookie mode no token is ever stored. */
  readonly refresh_token?: string | undefined;
  readonly access_token?: string | undefined;
  /** In cookie mode, when the access token is in a cookie as well. */
  readonly access_cookie?: boolean;
  /** The key of the refresh under way: made once, and used by every tab until that refresh has been answered. */
  readonly key?: string | undefined;
  /** Seconds from `obtained_at` for which the access token is good. */
  readonly expires_in: number;
  /** Milliseconds since 1970 by the clock of this device. 0: not known yet whether there is a session. */
  readonly obtained_at: number;
  /** In cookie mode: the user has signed out, so a cookie that is still there must not sign in again. */
  readonly signed_out?: true;
}

/** Keeps the record in memory: for Node and for tests. */
export function memoryStore(): RecordStore {
  let kept: string | null = null;
  return {
    get: () => kept,
    set: (text) => {
      kept = text;
    },
    isShared: false,
  };
}

/** `localStorage` in a page that may use it, otherwise memory. */
export function defaultStore(name: string): RecordStore {
  try {
    const storage = browser.document && browser.localStorage;
    storage?.getItem(name);
    if (storage) {
      return {
        get: () => storage.getItem(name),
        set: (text) => {
          if (text === null) {
            storage.removeItem(name);
          } else {
            storage.setItem(name, text);
          }
        },
      };
    }
  } catch {
    // Storage is blocked by the user.
  }
  return memoryStore();
}

/** Returns undefined for what is not a record, such as one of another version. */
export function parseRecord(text: string | null): SessionRecord | undefined {
  try {
    const record = JSON.parse(text ?? 'null') as SessionRecord | null;
    return record?.v === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}
