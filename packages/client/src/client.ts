import { AccessTokenInCookieError, DisposedError, SignedOutError, UnavailableError } from './errors.js';
import {
  abortable,
  browser,
  type Channel,
  type Listenable,
  localLocks,
  type Locks,
  pageLocks,
  randomKey,
  report,
  sleep,
  tickMs,
  timeLimit,
  wallMs,
} from './platform.js';
import { type Held, hold, leftMs, marginMs } from './held.js';
import type { Account, ClientEvents, ClientOptions, ClientState, Credentials, PendingTicket } from './options.js';
import { defaultStore, parseRecord, type RecordStore, type SessionRecord } from './record.js';
import { accepted, type Answer, isRefused, type Post, poster, refusal, ticketIn, unavailable } from './service.js';

interface Read {
  readonly text: string | null;
  readonly record: SessionRecord | undefined;
}

/** Names what the other entries of this package use of a client, and nothing else does. */
export const INSIDE = Symbol();

/**
 * Who asks for tokens: without it no user. `user`: the one who is signed in, for a session in the place of this one.
 * `session`: for another access token of this one.
 */
type As = 'user' | 'session';

interface Inside {
  /** Asks the service through the client's own `fetch`, or another. */
  readonly via: (fetch?: typeof globalThis.fetch) => Post;
  /** Opens a session by another route than `/auth/login`, exactly as `signIn` does. */
  readonly begin: (path: string, body: object, as?: As) => Promise<void>;
  /** Gets another access token, however new the present one is. */
  readonly refresh: () => Promise<unknown>;
}

/** A tab sees what another has stored a moment after the lock has passed on; this is ten times what was measured. */
const SETTLE_MS = 50;
const LOCK_MS = 15_000;
const SIGN_OUT_LOCK_MS = 3_000;
/** Longer than the service waits for a password hash. */
const SIGN_IN_MS = 20_000;
/** How long a caller waits for a service that does not answer. */
const PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** A page that was frozen between reading the record and asking reads it again. */
const FROZEN_MS = 1_000;
/** A longer time-out fires at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
/** How often a refresh begins again because the record or its key was another's, before it pauses. */
const MOST_RESTARTS = 5;

/** Makes a client. One for each page and service is enough. */
export function createClient(options: ClientOptions): RatchetClient {
  return new RatchetClient(options);
}

/** A session of one user at one service, shared by all tabs of an origin. Made by `createClient`. */
export class RatchetClient {
  /** @internal */
  readonly [INSIDE]: Inside;

  readonly #post: Post;
  readonly #resources: ReadonlySet<string>;
  readonly #isCookieMode: boolean;
  readonly #ask: typeof globalThis.fetch;
  readonly #store: RecordStore;
  readonly #isShared: boolean;
  readonly #name: string;
  readonly #locks: Locks;
  readonly #channel: Channel | undefined;
  readonly #unlisten: (() => void)[] = [];
  readonly #listeners: { [E in keyof ClientEvents]?: Set<(detail: ClientEvents[E]) => unknown> } = {};

  #record: SessionRecord | undefined;
  #held: Held | undefined;
  #reason = 'elsewhere';
  /** The session that was signed out here. */
  #left: string | undefined;
  #known: ClientState = 'unknown';
  readonly #loaded: Promise<void>;
  #isDisposed = false;

  #flight: Promise<Held> | undefined;
  #locksHeld = 0;
  #news: (() => void)[] = [];
  #failures = 0;
  /** The pause between attempts, and what the service has asked for. */
  #pausedUntilMs = 0;
  #askedUntilMs = 0;
  #trouble: UnavailableError | undefined;
  #refreshedTickMs = Number.NEGATIVE_INFINITY;
  #forcedTickMs = Number.NEGATIVE_INFINITY;
  #endPause = (): void => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What could not be stored, and over what. */
  #unstored: { readonly over: string | null; readonly text: string } | undefined;
  #refusedText: string | null = null;

  /** Use `createClient`. */
  constructor({ baseUrl, mode, resources = [], store, fetch = globalThis.fetch }: ClientOptions) {
    const url = new URL(baseUrl, browser.document?.baseURI);
    const base = url.href.replace(/\/$/, '');
    this.#name = `ratchet:${base}`;
    for (const origin of resources) {
      if (new URL(origin).origin !== origin) {
        throw new TypeError(`${JSON.stringify(origin)} is no origin`);
      }
    }
    this.#resources = new Set([url.origin, ...resources]);
    this.#isCookieMode = mode === 'cookie';
    // Called with the global object as `this`, which browsers insist on.
    this.#ask = (...args) => fetch(...args);
    const via = (ask = this.#ask): Post => poster(base, ask, this.#isCookieMode ? 'include' : 'omit');
    this.#post = via();
    this[INSIDE] = { via, begin: (...args) => this.#begin(...args), refresh: () => this.#refresh() };
    this.#store = store ?? defaultStore(this.#name);
    this.#isShared = this.#store.isShared !== false;
    this.#locks = this.#isShared ? (browser.navigator?.locks ?? pageLocks) : localLocks();

    const look = (): void => {
      void this.#look();
    };
    const wake = (): void => {
      void this.wake();
    };
    if (this.#isShared && browser.BroadcastChannel) {
      this.#channel = new browser.BroadcastChannel(this.#name);
      this.#channel.onmessage = look;
      this.#channel.unref?.();
    }
    // A message can arrive before what it tells of can be read; `storage` comes with it.
    this.#listen(browser, 'storage', look);
    this.#listen(browser, 'pageshow', wake);
    this.#listen(browser, 'online', wake);
    this.#listen(browser.document, 'visibilitychange', wake);

    this.#loaded = this.#look();
  }

  get state(): ClientState {
    return this.#known;
  }

  /** Keeps Vue's `reactive` and `ref` from wrapping a client into a proxy, which cannot read its fields. */
  get [Symbol.toStringTag](): string {
    return 'RatchetClient';
  }

  /**
   * Calls `listener` at every such event, in a microtask of its own and never while a lock is held. Any method may be called
   * from it. What it throws is reported like an uncaught error, and stops nothing.
   *
   * @returns a function that ends it
   */
  on<E extends keyof ClientEvents>(event: E, listener: (detail: ClientEvents[E]) => unknown): () => void {
    // A listener that is given twice is called twice.
    const call = (detail: ClientEvents[E]): unknown => {
      return listener(detail);
    };
    const set: Set<(detail: ClientEvents[E]) => unknown> = (this.#listeners[event] ??= new Set<never>());
    set.add(call);
    return () => {
      set.delete(call);
    };
  }

  /**
   * Resolves when it is known whether a user is signed in. In cookie mode that takes a refresh where the store does not say.
   *
   * @throws UnavailableError after 30 s
   */
  async ready(): Promise<'signed_in' | 'signed_out'> {
    await this.#open();
    if (this.#known === 'unknown') {
      await this.#refresh().catch((error: unknown) => {
        if (!(error instanceof SignedOutError)) {
          throw error;
        }
      });
    }
    return this.#known === 'signed_in' ? 'signed_in' : 'signed_out';
  }

  /**
   * Makes an account. Does not sign in. With `EMAIL_VERIFICATION=required` it only asks for one: the mailbox gets a code,
   * which makes the account together with the ticket (`completeSignUp` of `@ratchet/client/account`).
   *
   * @throws RefusedError `email_taken`, `validation_failed`, `too_many_attempts`
   * @throws UnavailableError also when the account may have been made
   */
  async signUp({ email, password }: Credentials): Promise<Account | PendingTicket> {
    await this.#open();
    const answer = await this.#post('/auth/register', { email, password }, { limitMs: SIGN_IN_MS });
    if (answer.status === 202) {
      return ticketIn(answer);
    }
    const made = accepted(answer, 201) as unknown as Account & { readonly created_at: string };
    return { id: made.id, email: made.email, roles: made.roles, createdAt: made.created_at };
  }

  /**
   * Opens a session, in the place of one that is there. That one is not ended: call `signOut` first.
   *
   * @throws RefusedError `invalid_credentials`, `account_disabled`, `validation_failed`, `too_many_attempts`
   * @throws UnavailableError also when the session may have been opened
   */
  async signIn({ email, password }: Credentials): Promise<void> {
    await this.#begin('/auth/login', { email, password });
  }

  /**
   * Changes the password, which ends every session of the user, and opens a new one.
   *
   * @throws RefusedError `invalid_credentials`, `validation_failed`, `too_many_attempts`
   * @throws SignedOutError
   * @throws UnavailableError also when the password may have been changed
   */
  async changePassword(change: { readonly currentPassword: string; readonly newPassword: string }): Promise<void> {
    const body = { current_password: change.currentPassword, new_password: change.newPassword };
    await this.#begin('/auth/password', body, 'user');
  }

  /**
   * Signs out here at once, in all tabs, and then tells the service. Never throws because the service cannot be reached.
   *
   * @param everywhere ends every session of the user, on all devices
   * @returns whether the service has confirmed it. If not, what the device has stored is gone, but the session may live on
   * until it expires.
   */
  async signOut({ everywhere = false } = {}): Promise<{ readonly acknowledged: boolean }> {
    await this.#open();
    const bearer = everywhere ? await this.#soon() : undefined;
    const before = await this.#read().then(
      ({ record }) => record,
      () => this.#record,
    );
    this.#left = before?.session;
    await this.#forget('here', before);
    const end = async (): Promise<boolean> => {
      const told = this.#tellSignOut(before, everywhere, bearer);
      await this.#settle();
      await this.#look();
      return told;
    };
    try {
      return { acknowledged: await this.#underLock(SIGN_OUT_LOCK_MS, end) };
    } catch {
      return { acknowledged: await end() };
    }
  }

  /**
   * Returns an access token that is good now, and refreshes it first or beside the answer when it is due. Ask for it at every
   * use: nothing else keeps the session alive.
   *
   * @param signal ends the waiting and not the refresh
   * @param minValiditySeconds waits for a new token unless the present one is good for longer than that
   * @throws SignedOutError
   * @throws UnavailableError after 30 s, when no good token is left
   * @throws AccessTokenInCookieError
   */
  async accessToken({
    signal,
    minValiditySeconds = 0,
  }: { readonly signal?: AbortSignal; readonly minValiditySeconds?: number } = {}): Promise<string> {
    const { token } = await this.#fresh(minValiditySeconds * 1_000, signal);
    if (token === undefined) {
      throw new AccessTokenInCookieError();
    }
    return token;
  }

  /**
   * `fetch` with the access token, to the origin of the service and to `resources`. To any other origin, and with an
   * `Authorization` of its own, a request goes as it is.
   *
   * When the token is refused although it is the current one, it is refreshed once and the request is repeated once, unless
   * its body is a stream. The second answer is returned, whatever it is.
   *
   * @throws SignedOutError before anything is sent, or when the refresh has shown it
   * @throws UnavailableError when there is no good token to send
   */
  async fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const request = typeof input === 'object' && 'url' in input ? input : undefined;
    const url = new URL(request?.url ?? input, browser.document?.baseURI);
    const headers = new Headers(init.headers ?? request?.headers);
    if (!this.#resources.has(url.origin) || headers.has('authorization')) {
      return this.#ask(input, init);
    }
    const signal = init.signal ?? request?.signal;
    const send = (held: Held): Promise<Response> => {
      if (held.token !== undefined) {
        headers.set('authorization', `Bearer ${held.token}`);
      }
      return this.#ask(input, {
        ...init,
        headers,
        ...(held.token === undefined && { credentials: 'include' as const }),
      });
    };
    const sent = await this.#fresh(0, signal);
    const response = await send(sent);
    if (response.status !== 401 || !(await isRefused(response))) {
      return response;
    }
    if (this.#held === sent) {
      // A resource that refuses every token must not cause a refresh at every call.
      if (!this.#flight && tickMs() - this.#forcedTickMs < marginMs(sent)) {
        return response;
      }
      this.#forcedTickMs = tickMs();
      await abortable(this.#refresh(), signal);
    }
    const isOnce =
      Boolean(request?.body) || (typeof init.body === 'object' && init.body !== null && 'getReader' in init.body);
    return isOnce ? response : send(await this.#fresh(0, signal));
  }

  /**
   * Reads the store again, and lets a refresh that pauses try at once. A page does this by itself; call it when an app of
   * another kind comes to the foreground.
   */
  async wake(): Promise<void> {
    this.#pausedUntilMs = 0;
    this.#failures = 0;
    this.#endPause();
    await this.#look();
  }

  /** Ends all listening and waiting. A request that is under way is completed and its answer stored. */
  dispose(): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
    for (const each of this.#unlisten) {
      each();
    }
    this.#endPause();
  }

  /** Lets nothing begin on a client that is disposed of, and nothing before the store has been read. */
  async #open(): Promise<void> {
    if (this.#isDisposed) {
      throw new DisposedError();
    }
    await this.#loaded;
  }

  /** Sees at once what the store gives at once. */
  async #look(): Promise<void> {
    try {
      const text = this.#readStore();
      const read = isLater(text) ? await text : text;
      const record = parseRecord(read);
      if (record?.session && record.session === this.#left && !record.signed_out) {
        // A refresh that was under way in another tab has stored its answer over the end.
        await this.#forget('here', record);
      } else if (!this.#isDisposed) {
        this.#see(read);
      }
    } catch {
      // The next use meets the same error.
    }
  }

  #listen(target: Partial<Listenable> | undefined, type: string, listener: () => void): void {
    target?.addEventListener?.(type, listener);
    this.#unlisten.push(() => target?.removeEventListener?.(type, listener));
  }

  /** Events wait until no lock is held. */
  #emit<E extends keyof ClientEvents>(event: E, detail: ClientEvents[E]): void {
    for (const listener of this.#listeners[event] ?? []) {
      this.#news.push(() => {
        void Promise.resolve(detail).then(listener).catch(report);
      });
    }
    this.#tell();
  }

  #tell(): void {
    if (this.#locksHeld === 0) {
      for (const each of this.#news.splice(0)) {
        each();
      }
    }
  }

  /** A good access token, or the knowledge that there is one in a cookie. */
  async #fresh(leastMs: number, signal?: AbortSignal | null): Promise<Held> {
    await this.#open();
    signal?.throwIfAborted();
    if (this.#known === 'signed_out') {
      throw new SignedOutError(this.#reason);
    }
    const held = this.#held;
    if (held) {
      const left = leftMs(held);
      const isJustRefreshed = tickMs() - this.#refreshedTickMs < marginMs(held);
      if (isJustRefreshed || left > Math.max(leastMs, marginMs(held))) {
        if (!isJustRefreshed && held.lifeMs - left >= held.refreshAfterMs) {
          this.#refresh().catch(() => undefined);
        }
        return held;
      }
    }
    try {
      return await abortable(this.#refresh(), signal);
    } catch (error) {
      if (error instanceof UnavailableError && held && held === this.#held && leftMs(held) > leastMs) {
        return held;
      }
      throw error;
    }
  }

  /** Whether the service has confirmed it. A token of any generation ends its session. */
  async #tellSignOut(
    record: SessionRecord | undefined,
    everywhere: boolean,
    bearer: string | undefined,
  ): Promise<boolean> {
    const body = { refresh_token: record?.refresh_token };
    if (!this.#isCookieMode && body.refresh_token === undefined) {
      return true;
    }
    try {
      const all = everywhere && (await this.#post('/auth/logout-all', undefined, { bearer, keepalive: true }));
      if (all && all.status === 204) {
        return true;
      }
      return (await this.#post('/auth/logout', body, { keepalive: true })).status === 204 && !everywhere;
    } catch {
      return false;
    }
  }

  /** The access token for a sign-out, which does not wait for long. */
  async #soon(): Promise<string | undefined> {
    const limit = timeLimit(SIGN_OUT_LOCK_MS);
    try {
      return (await this.#fresh(0, limit.signal)).token;
    } catch {
      return undefined;
    } finally {
      limit.end();
    }
  }

  /** One at a time in this client; the lock makes it one at a time in all tabs. */
  #refresh(): Promise<Held> {
    this.#flight ??= this.#fly().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  async #fly(): Promise<Held> {
    const wished = this.#held;
    const deadlineMs = tickMs() + PATIENCE_MS;
    let restarts = 0;
    for (;;) {
      await this.#untilAllowed(deadlineMs);
      try {
        const held = await this.#underLock(LOCK_MS, () => this.#attempt(wished));
        if (held) {
          this.#failures = 0;
          return held;
        }
        restarts += 1;
        if (restarts % MOST_RESTARTS === 0) {
          throw new UnavailableError('the record keeps changing');
        }
      } catch (error) {
        if (!(error instanceof UnavailableError)) {
          throw error;
        }
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures) * Math.random();
        this.#failures += 1;
        this.#pausedUntilMs = tickMs() + pauseMs;
        this.#askedUntilMs = tickMs() + (error.retryAfterSeconds ?? 0) * 1_000;
        this.#trouble = error;
        this.#emit('unavailable', error);
        if (this.#askedUntilMs > deadlineMs) {
          throw error;
        }
      }
    }
  }

  /** Pauses between attempts, while the device is offline, and while the page is only being prepared. */
  async #untilAllowed(deadlineMs: number): Promise<void> {
    const { document } = browser;
    while (document?.prerendering) {
      await new Promise((resolve) => {
        document.addEventListener('prerenderingchange', resolve);
      });
    }
    for (;;) {
      if (this.#isDisposed) {
        throw new DisposedError();
      }
      const isOffline = browser.navigator?.onLine === false;
      const nowMs = tickMs();
      const dueMs = isOffline ? deadlineMs : Math.max(this.#pausedUntilMs, this.#askedUntilMs);
      if (!isOffline && nowMs >= dueMs) {
        return;
      }
      if (nowMs >= deadlineMs || this.#askedUntilMs > deadlineMs) {
        throw new UnavailableError(
          isOffline ? 'the device is offline' : (this.#trouble?.message ?? 'not in time'),
          { cause: this.#trouble },
          Math.ceil(Math.max(0, this.#askedUntilMs - nowMs) / 1_000),
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, Math.min(dueMs, deadlineMs) - nowMs));
        this.#endPause = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /**
   * One refresh under the lock. The key is in the record before the request leaves, so that any repetition, by any tab, is a
   * replay; what comes back is stored only over the record that it was asked with.
   *
   * @returns undefined to begin again with another record
   */
  async #attempt(wished: Held | undefined): Promise<Held | undefined> {
    await this.#settle();
    const read = await this.#read();
    const readWallMs = wallMs();
    this.#see(read.text);
    if (this.#known === 'signed_out') {
      throw new SignedOutError(this.#reason);
    }
    const held = this.#held;
    if (held && held !== wished && leftMs(held) > marginMs(held)) {
      return held;
    }
    const record = read.record ?? newRecord();
    let { text } = read;
    let { key } = record;
    if (key === undefined) {
      key = randomKey();
      text = await this.#write({ ...record, key });
    }
    const sentWallMs = wallMs();
    if (sentWallMs - readWallMs > FROZEN_MS) {
      return undefined;
    }
    const { refresh_token, ...rest } = record;
    const answer = await this.#post('/auth/refresh', { refresh_token }, { key });
    const { status, body: problem } = answer;
    const { code } = problem;
    const isOver = (status === 401 && typeof code === 'string') || code === 'account_disabled';
    if (isOver) {
      await this.#settle();
    }
    if ((await this.#read()).text !== text) {
      return undefined;
    }
    if (status === 200) {
      const renewed = await this.#commit(answer, { ...rest, key: undefined, obtained_at: sentWallMs }, text);
      this.#refreshedTickMs = tickMs();
      return renewed;
    }
    if (isOver) {
      await this.#forget(code, record);
      throw new SignedOutError(code);
    }
    if (code === 'idempotency_key_reused') {
      // The cookie is the next token already. In token mode the record may have been an old one: it is read once more.
      if (this.#isCookieMode || this.#refusedText === text) {
        await this.#write({ ...record, key: undefined });
      }
      this.#refusedText = text;
      return undefined;
    }
    if ([400, 413, 415].includes(status)) {
      throw refusal(answer);
    }
    throw unavailable(answer);
  }

  /** What opens a session in the place of the one in the record, or goes on with that one as a step-up does. */
  async #begin(path: string, body: object, as?: As): Promise<void> {
    await (as ? this.#fresh(0) : this.#open());
    await this.#underLock(LOCK_MS, async () => {
      const { text, record } = await this.#read();
      this.#see(text);
      const sentWallMs = wallMs();
      const same = as === 'session' ? record : undefined;
      try {
        // Of the session in the record, which another tab may have replaced a moment ago.
        const bearer = as && this.#held?.token;
        const answer = await this.#post(path, body, { bearer, limitMs: SIGN_IN_MS });
        accepted(answer, 200);
        await this.#commit(answer, { ...(same ?? newRecord()), obtained_at: sentWallMs }, text);
      } catch (error) {
        if (this.#isCookieMode && !same && error instanceof UnavailableError) {
          // The cookie may be of the new session already, so nothing is known of it.
          this.#held = undefined;
          this.#see(await this.#write(newRecord()));
        }
        throw error;
      }
    });
  }

  /**
   * Stores what has been answered, in one write, and tells the other tabs.
   *
   * @param from the record that it goes on with, without a refresh token where the answer must have one
   */
  async #commit({ body }: Answer, from: SessionRecord, over: string | null): Promise<Held> {
    const {
      access_token,
      refresh_token = from.refresh_token,
      expires_in,
    } = body as Readonly<Record<string, string | undefined>> & { expires_in?: number };
    if (typeof expires_in !== 'number' || (!this.#isCookieMode && (!access_token || !refresh_token))) {
      throw new UnavailableError('not an answer of the service');
    }
    const common = { ...from, refreshed: from.refreshed + 1, expires_in };
    const record: SessionRecord = this.#isCookieMode
      ? { ...common, access_cookie: access_token === undefined }
      : { ...common, refresh_token, access_token };
    const held = hold(common, access_token);
    let text: string;
    try {
      text = await this.#write(record);
    } catch {
      // The old record and its key are still stored, so another tab gets the same answer until this one is used.
      text = JSON.stringify(record);
      this.#unstored = { over, text };
    }
    this.#see(text, held);
    this.#announce();
    return held;
  }

  /** Removes the record and tells the other tabs. */
  async #forget(reason: string, record: SessionRecord | undefined): Promise<void> {
    const over: SessionRecord | null = this.#isCookieMode
      ? { ...newRecord(), session: record?.session ?? randomKey(), signed_out: true }
      : null;
    const text = over && JSON.stringify(over);
    this.#unstored = undefined;
    try {
      await this.#store.set(text);
    } catch (error) {
      report(error);
    }
    this.#see(text, undefined, reason);
    this.#announce();
  }

  #announce(): void {
    if (!this.#isDisposed) {
      this.#channel?.postMessage('changed');
    }
  }

  /** Takes notice of what the store holds, and says what has changed. */
  #see(text: string | null, own?: Held, reason = 'elsewhere'): void {
    const record = parseRecord(text);
    const before = this.#record;
    const wasKnown = this.#known;
    this.#record = record;
    this.#known = this.#stateOf(record);
    if (this.#known !== 'signed_in' || !record) {
      this.#held = undefined;
      if (this.#known === 'signed_out' && wasKnown !== 'signed_out') {
        this.#reason = reason;
        this.#emit('signed_out', { reason });
      }
    } else {
      const isSame = before?.session === record.session;
      if (own) {
        this.#held = own;
      } else if (!isSame || record.refreshed !== before.refreshed) {
        // In cookie mode a token of the same session stays good when another tab refreshes; it is only not the newest.
        const isReadable = record.access_token ?? record.access_cookie;
        this.#held = isReadable ? hold(record, record.access_token) : isSame ? this.#held : undefined;
      }
      if (wasKnown !== 'signed_in' || !isSame) {
        this.#emit('signed_in', undefined);
      } else if (record.refreshed !== before.refreshed) {
        this.#emit('refreshed', undefined);
      }
    }
    this.#plan();
  }

  #stateOf(record: SessionRecord | undefined): ClientState {
    if (this.#isCookieMode) {
      return record?.signed_out ? 'signed_out' : record?.obtained_at ? 'signed_in' : 'unknown';
    }
    return record?.refresh_token ? 'signed_in' : 'signed_out';
  }

  /** An access token in a cookie is used without a call of this client, so it is kept fresh while the page is visible. */
  #plan(): void {
    clearTimeout(this.#timer);
    const held = this.#held;
    if (held && held.token === undefined && !this.#isDisposed && browser.document?.visibilityState === 'visible') {
      const dueMs = held.refreshAfterMs - held.lifeMs + leftMs(held);
      this.#timer = setTimeout(
        () => {
          this.#fresh(0)
            .catch(() => undefined)
            .finally(() => {
              this.#plan();
            });
        },
        Math.min(LONGEST_TIMEOUT_MS, Math.max(1_000, dueMs)),
      );
    }
  }

  async #settle(): Promise<void> {
    if (this.#isShared) {
      await sleep(SETTLE_MS);
    }
  }

  /** At once if the store can, so that the state is known from the start. */
  #readStore(): string | null | Promise<string | null> {
    const overlay = (text: string | null): string | null => {
      if (this.#unstored && this.#unstored.over !== text) {
        this.#unstored = undefined;
      }
      return this.#unstored?.text ?? text;
    };
    const text = this.#store.get();
    return isLater(text) ? text.then(overlay) : overlay(text);
  }

  async #read(): Promise<Read> {
    try {
      const text = await this.#readStore();
      return { text, record: parseRecord(text) };
    } catch (cause) {
      throw new UnavailableError('the store cannot be read', { cause });
    }
  }

  async #write(record: SessionRecord): Promise<string> {
    const whole = JSON.stringify(record);
    const isTooLong = whole.length > (this.#store.maxLength ?? Number.POSITIVE_INFINITY);
    const text = isTooLong ? JSON.stringify({ ...record, access_token: undefined }) : whole;
    try {
      await this.#store.set(text);
    } catch (cause) {
      throw new UnavailableError('the store cannot be written', { cause });
    }
    this.#unstored = undefined;
    return text;
  }

  /** Never steals the lock and never goes on without it. */
  async #underLock<T>(limitMs: number, work: () => Promise<T>): Promise<T> {
    const limit = timeLimit(limitMs);
    let isHeld = false as boolean;
    try {
      return await this.#locks.request(this.#name, { signal: limit.signal }, () => {
        limit.end();
        isHeld = true;
        this.#locksHeld += 1;
        return work();
      });
    } catch (cause) {
      throw isHeld ? cause : new UnavailableError('another tab holds the lock', { cause });
    } finally {
      limit.end();
      if (isHeld) {
        this.#locksHeld -= 1;
        this.#tell();
      }
    }
  }
}

function isLater(text: string | null | Promise<string | null>): text is Promise<string | null> {
  return typeof text === 'object' && text !== null;
}

function newRecord(): SessionRecord {
  return { v: 1, session: randomKey(), refreshed: 0, expires_in: 0, obtained_at: 0 };
}
