import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  createClient,
  memoryStore,
  type RecordStore,
  RefusedError,
  SignedOutError,
  UnavailableError,
} from './index.js';
import { ADA, json, lost, problem, setUp, type Setting, within } from './testing-service.js';

const KEY = /^[\w+/]{22}$/;
const HOUR_MS = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface LateItem {
  text: string | null;
  changedAtMs: number;
  writer: LateView | undefined;
}

/** The item of one tab, which sees 40 ms late what another has written, as `localStorage` may. */
class LateView implements RecordStore {
  private seen: string | null = null;

  constructor(private readonly item: LateItem) {}

  get(): string | null {
    const { text, changedAtMs, writer } = this.item;
    if (writer === this || performance.now() - changedAtMs >= 40) {
      this.seen = text;
    }
    return this.seen;
  }

  set(text: string | null): void {
    this.seen = text;
    Object.assign(this.item, { text, changedAtMs: performance.now(), writer: this });
  }
}

/** A tab with a session, whose access token has reached its end. */
async function dueFor(mode: 'cookie' | 'token'): Promise<Setting & { client: ReturnType<Setting['open']> }> {
  const setting = setUp(mode);
  const client = setting.open();
  await within(client.signIn(ADA));
  vi.advanceTimersByTime(300_000);
  return { ...setting, client };
}

describe('a client', () => {
  it('signs up and in, refreshes and signs out by the documented requests', async () => {
    const { service, store, open } = setUp();
    const client = open();
    expect(client.state).toBe('signed_out');
    service.script = [
      json(201, { id: '1', email: ADA.email, roles: [], created_at: '2026-11-27T12:10:32.661Z' }),
      () => service.pair(),
    ];
    expect(await within(client.signUp(ADA))).toEqual({
      id: '1',
      email: ADA.email,
      roles: [],
      createdAt: '2026-11-27T12:10:32.661Z',
    });
    await within(client.signIn(ADA));
    expect(client.state).toBe('signed_in');
    expect(await within(client.accessToken())).toBe('access-1');
    vi.advanceTimersByTime(300_000);
    expect(await within(client.accessToken())).toBe('access-2');
    service.script = [new Response(null, { status: 204 })];
    expect(await within(client.signOut())).toEqual({ acknowledged: true });
    expect(service.asked.map(({ path, body, credentials }) => ({ path, body, credentials }))).toEqual([
      { path: '/auth/register', body: ADA, credentials: 'omit' },
      { path: '/auth/login', body: ADA, credentials: 'omit' },
      { path: '/auth/refresh', body: { refresh_token: 'refresh-1' }, credentials: 'omit' },
      { path: '/auth/logout', body: { refresh_token: 'refresh-2' }, credentials: 'omit' },
    ]);
    expect([client.state, store.text]).toEqual(['signed_out', null]);
    await expect(client.accessToken()).rejects.toEqual(new SignedOutError('here'));
  });

  it('stores the key beside the token before the request leaves, and drops it with the answer', async () => {
    const { service, store, client } = await dueFor('token');
    await within(client.accessToken());
    const [{ headers, stored } = expect.fail('not asked')] = service.refreshes;
    const key = headers.get('idempotency-key');
    expect(key).toMatch(KEY);
    expect(JSON.parse(stored ?? '')).toMatchObject({ refresh_token: 'refresh-1', key });
    expect(store.record).toMatchObject({ refresh_token: 'refresh-2', refreshed: 2 });
    expect(store.record).not.toHaveProperty('key');
  });

  it('in cookie mode stores no token, and sends no refresh token', async () => {
    const { service, store, client } = await dueFor('cookie');
    expect(await within(client.accessToken())).toBe('access-2');
    expect(service.asked.map(({ body, credentials }) => ({ body, credentials }))).toEqual([
      { body: ADA, credentials: 'include' },
      { body: {}, credentials: 'include' },
    ]);
    expect([...service.asked.map(({ stored }) => stored ?? ''), store.text].join()).not.toMatch(/access-|refresh-/);
  });

  it('uses the key that it finds in the record, whichever tab has made it', async () => {
    const { service, open, client } = await dueFor('token');
    service.script = [lost];
    const first = client.accessToken();
    await vi.advanceTimersByTimeAsync(60);
    client.dispose();
    await expect(within(first)).rejects.toMatchObject({ code: 'disposed' });
    expect(await within(open().accessToken())).toBe('access-2');
    const [one, two] = service.refreshes;
    expect(two?.headers.get('idempotency-key')).toBe(one?.headers.get('idempotency-key'));
    expect(two?.body).toEqual(one?.body);
  });

  it('adopts what another tab has got, instead of refreshing again', async () => {
    const { service, open, client } = await dueFor('token');
    const others = [client, open(), open(), open()];
    expect(await within(Promise.all(others.map((each) => each.accessToken())))).toEqual(Array(4).fill('access-2'));
    expect(service.refreshes).toHaveLength(1);
  });

  it('answers a hundred uses at once with one refresh', async () => {
    const { service, client } = await dueFor('cookie');
    await within(Promise.all(Array.from({ length: 100 }, () => client.accessToken())));
    expect(service.refreshes).toHaveLength(1);
  });
});

describe('the answer to a refresh', () => {
  it.each(['cookie', 'token'] as const)('that is lost leads to the same request, in %s mode', async (mode) => {
    const { service, client } = await dueFor(mode);
    service.script = [lost, new Response('{"access', { status: 200 }), lost];
    const told = vi.fn();
    client.on('unavailable', told);
    expect(await within(client.accessToken())).toBe('access-2');
    const requests = service.refreshes.map(({ body, headers }) =>
      JSON.stringify([body, headers.get('idempotency-key')]),
    );
    expect([requests.length, new Set(requests).size]).toEqual([4, 1]);
    expect(told).toHaveBeenCalledTimes(3);
  });

  it('that does not come within 10 s is given up before the retry', async () => {
    const { service, store, baseUrl } = await dueFor('token');
    const gaveUp: number[] = [];
    const silent: typeof fetch = (_input, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => {
          gaveUp.push(performance.now());
          reject(new DOMException('aborted', 'AbortError'));
        });
      });
    const answers = [silent, service.fetch];
    const asking: typeof fetch = (...args) => (answers.shift() ?? service.fetch)(...args);
    const other = createClient({ baseUrl, mode: 'token', store, fetch: asking });
    const start = performance.now();
    expect(await within(other.accessToken())).toBe('access-2');
    expect(gaveUp.map((at) => at - start)).toEqual([10_050]);
  });

  it.each([
    ['refresh_token_invalid', 401],
    ['refresh_token_reused', 401],
    ['session_revoked', 401],
    ['session_expired', 401],
    ['account_disabled', 403],
  ])('%s ends the session here, for that reason', async (code, status) => {
    for (const mode of ['cookie', 'token'] as const) {
      const { service, store, client } = await dueFor(mode);
      service.script = [problem(status, code)];
      const told = vi.fn();
      client.on('signed_out', told);
      await expect(within(client.accessToken())).rejects.toEqual(new SignedOutError(code));
      expect(told.mock.calls).toEqual([[{ reason: code }]]);
      expect(client.state).toBe('signed_out');
      expect(mode === 'token' ? store.text : store.record['signed_out']).toBe(mode === 'token' ? null : true);
      await expect(client.accessToken()).rejects.toEqual(new SignedOutError(code));
      expect(service.refreshes).toHaveLength(1);
    }
  });

  it.each([
    ['a record that has been replaced meanwhile', 401, 'session_revoked'],
    ['a record that has been replaced meanwhile', 200, 'ok'],
  ])('to %s changes nothing: %i %s', async (_what, status, code) => {
    const { service, store, open, client } = await dueFor('token');
    const replacement = JSON.stringify({ ...store.record, session: 'another', refresh_token: 'refresh-x' });
    service.script = [
      () => {
        store.text = replacement;
        return status === 200 ? service.pair() : problem(status, code);
      },
      ({ body }) => {
        expect(body).toEqual({ refresh_token: 'refresh-x' });
        return service.pair();
      },
    ];
    const told = vi.fn();
    client.on('signed_out', told);
    await within(client.accessToken());
    expect(told).not.toHaveBeenCalled();
    expect(store.record).toMatchObject({ session: 'another' });
    expect(service.refreshes).toHaveLength(2);
    expect(open().state).toBe('signed_in');
  });

  it('422 makes a fresh key: at once in cookie mode, and after another look at the record in token mode', async () => {
    for (const [mode, asked] of [
      ['cookie', 2],
      ['token', 3],
    ] as const) {
      const { service, client } = await dueFor(mode);
      service.script = Array.from({ length: asked - 1 }, () => problem(422, 'idempotency_key_reused'));
      await within(client.accessToken());
      const keys = service.refreshes.map(({ headers }) => headers.get('idempotency-key'));
      expect(keys).toHaveLength(asked);
      expect(new Set(keys).size).toBe(2);
    }
  });

  it.each([400, 413, 415])('%i is a bug: it is thrown, and nothing is forgotten', async (status) => {
    const { service, store, client } = await dueFor('token');
    service.script = [problem(status, 'validation_failed')];
    await expect(within(client.accessToken())).rejects.toMatchObject({ code: 'validation_failed', status });
    expect(client.state).toBe('signed_in');
    expect(store.record).toMatchObject({ refresh_token: 'refresh-1', key: expect.stringMatching(KEY) });
  });

  it.each([
    ['503 of the service', () => problem(503, 'temporarily_unavailable')],
    ['429 of the service', () => problem(429, 'too_many_attempts')],
    ['500', () => problem(500, 'internal_error')],
    ['404 of a gateway', () => new Response('not found', { status: 404 })],
    ['403 of a firewall', () => new Response('blocked', { status: 403 })],
    ['401 without a code, of a proxy', () => new Response('sign in to the proxy', { status: 401 })],
    ['200 with a page of a hotel', () => new Response('<html>')],
    ['lost answer', lost],
  ])('%s keeps everything and is asked for again, with a limit on the rate', async (_what, reply) => {
    const { service, store, client } = await dueFor('token');
    service.script = Array.from({ length: 1_000 }, () => reply);
    const before = vi.fn();
    client.on('signed_out', before);
    await expect(within(client.accessToken(), 45_000)).rejects.toBeInstanceOf(UnavailableError);
    expect(service.refreshes.length).toBeGreaterThan(2);
    expect(service.refreshes.length).toBeLessThan(60);
    expect(before).not.toHaveBeenCalled();
    service.script = [];
    expect(await within(client.accessToken())).toBe('access-2');
    expect(store.record).toMatchObject({ refresh_token: 'refresh-2' });
    expect(new Set(service.refreshes.map(({ headers }) => headers.get('idempotency-key'))).size).toBe(1);
  });

  it.each([429, 503])('%i with Retry-After is not asked for before that', async (status) => {
    const { service, client } = await dueFor('token');
    service.script = [problem(status, 'overloaded', { 'retry-after': '7' })];
    const asking = client.accessToken();
    await vi.advanceTimersByTimeAsync(6_900);
    expect(service.refreshes).toHaveLength(1);
    expect(await within(asking, 1_000)).toBe('access-2');
  });

  it('with a Retry-After of more than its patience is told to the caller at once, and to later ones without a request', async () => {
    const { service, client } = await dueFor('token');
    service.script = [problem(503, 'overloaded', { 'retry-after': '120' })];
    await expect(within(client.accessToken(), 200)).rejects.toMatchObject({ retryAfterSeconds: 120 });
    await expect(within(client.accessToken(), 200)).rejects.toMatchObject({ code: 'unavailable' });
    expect(service.refreshes).toHaveLength(1);
    vi.advanceTimersByTime(120_000);
    expect(await within(client.accessToken())).toBe('access-2');
  });
});

describe('the time of an access token', () => {
  it('is used up to four fifths, then refreshed beside the answer, and near its end before it', async () => {
    const { service, open } = setUp();
    const client = open();
    await within(client.signIn(ADA));
    vi.advanceTimersByTime(200_000);
    expect(await client.accessToken()).toBe('access-1');
    expect(service.refreshes).toHaveLength(0);
    vi.advanceTimersByTime(45_000);
    expect(await client.accessToken()).toBe('access-1');
    await vi.advanceTimersByTimeAsync(100);
    expect(await client.accessToken()).toBe('access-2');
    vi.advanceTimersByTime(292_000);
    expect(await within(client.accessToken())).toBe('access-3');
  });

  it('can be asked for with a least validity', async () => {
    const { client } = await dueFor('token');
    await within(client.accessToken());
    vi.advanceTimersByTime(100_000);
    expect(await within(client.accessToken({ minValiditySeconds: 100 }))).toBe('access-2');
    expect(await within(client.accessToken({ minValiditySeconds: 250 }))).toBe('access-3');
    expect(await within(client.accessToken({ minValiditySeconds: 3_600 }))).toBe('access-3');
  });

  it.each([
    ['after 8 h of sleep, in which one clock stood still', 8 * HOUR_MS, 1],
    ['with the clock set ahead by an hour', HOUR_MS, 1],
    ['with the clock set back by an hour', -HOUR_MS, 1],
    ['with the clock set back by a minute', -60_000, 1],
  ])('%s costs one refresh at most, and no loop', async (_what, changeMs, most) => {
    const { service, client } = await dueFor('token');
    await within(client.accessToken());
    vi.advanceTimersByTime(30_000);
    const before = service.refreshes.length;
    vi.setSystemTime(new Date().getTime() + changeMs);
    for (let uses = 0; uses < 20; uses += 1) {
      await within(client.accessToken());
      vi.advanceTimersByTime(1_000);
    }
    expect(service.refreshes.length - before).toBeLessThanOrEqual(most);
    expect(service.refreshes.length - before).toBe(most);
  });

  it('of 2 s leads to a refresh per life and not per use', async () => {
    const { service, open } = setUp();
    service.expiresIn = 2;
    const client = open();
    await within(client.signIn(ADA));
    for (let uses = 0; uses < 100; uses += 1) {
      await within(client.accessToken());
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(service.refreshes.length).toBeLessThan(16);
  });

  it('is still used when the refresh beside it fails', async () => {
    const { service, open } = setUp();
    const client = open();
    await within(client.signIn(ADA));
    service.script = Array.from({ length: 100 }, () => lost);
    vi.advanceTimersByTime(260_000);
    expect(await client.accessToken()).toBe('access-1');
  });
});

describe('a store', () => {
  it('that cannot be written keeps a refresh from leaving, and the session is kept', async () => {
    const { service, store, client } = await dueFor('token');
    store.isBroken = true;
    await expect(within(client.accessToken())).rejects.toMatchObject({
      code: 'unavailable',
      message: 'the store cannot be written',
    });
    expect(service.refreshes).toHaveLength(0);
    store.isBroken = false;
    expect(await within(client.accessToken())).toBe('access-2');
  });

  it('that fails when the answer is to be stored loses nothing: the answer is used, and stored with the next key', async () => {
    const { service, store, client } = await dueFor('token');
    service.script = [
      () => {
        store.isBroken = true;
        return service.pair();
      },
    ];
    expect(await within(client.accessToken())).toBe('access-2');
    expect(store.record).toMatchObject({ refresh_token: 'refresh-1', key: expect.stringMatching(KEY) });
    store.isBroken = false;
    vi.advanceTimersByTime(300_000);
    expect(await within(client.accessToken())).toBe('access-3');
    expect(service.refreshes.map(({ body }) => body['refresh_token'])).toEqual(['refresh-1', 'refresh-2']);
  });

  it('that throws SecurityError at every touch makes nothing but UnavailableError', async () => {
    const { open } = setUp();
    const store = {
      get: (): never => {
        throw new DOMException('blocked', 'SecurityError');
      },
      set: (): never => {
        throw new DOMException('blocked', 'SecurityError');
      },
    };
    const client = open({ store });
    await expect(within(client.ready())).rejects.toMatchObject({ code: 'unavailable' });
    expect(client.state).toBe('unknown');
  });

  it('with a limit gets the record without its access token, and may answer later', async () => {
    const { service, open, store } = setUp();
    const late = {
      get: () => Promise.resolve(store.text),
      set: async (text: string | null) => {
        store.set(text);
        await Promise.resolve();
      },
      maxLength: 150,
    };
    const client = open({ store: late });
    expect(client.state).toBe('unknown');
    expect(await within(client.ready())).toBe('signed_out');
    await within(client.signIn(ADA));
    expect(store.text).not.toContain('access');
    expect(await within(client.accessToken())).toBe('access-1');
    const restarted = open({ store: late });
    expect(await within(restarted.ready())).toBe('signed_in');
    expect(await within(restarted.accessToken())).toBe('access-2');
    expect(service.refreshes).toHaveLength(1);
  });

  it.each(['', 'null', '{', '[]', '{"v":2}', '"text"', '{"v":1}'])('that holds %j holds no session', async (text) => {
    const { store, open } = setUp();
    store.text = text;
    const client = open();
    expect(client.state).toBe('signed_out');
    await within(client.signIn(ADA));
    expect(store.record).toMatchObject({ v: 1, refresh_token: 'refresh-1' });
  });
});

describe('signing out', () => {
  it('clears the device at once although the service is out of reach, and says so', async () => {
    for (const mode of ['cookie', 'token'] as const) {
      const { service, store, open } = setUp(mode);
      const client = open();
      await within(client.signIn(ADA));
      service.script = [lost, lost];
      const left = client.signOut();
      await vi.advanceTimersByTimeAsync(0);
      expect(client.state).toBe('signed_out');
      expect(store.text ?? '').not.toContain('refresh-');
      expect(await within(left)).toEqual({ acknowledged: false });
      expect(open().state).toBe('signed_out');
    }
  });

  it('is not undone by a refresh that is under way', async () => {
    const { service, store, client } = await dueFor('token');
    let answer = (): void => undefined;
    service.script = [
      () =>
        new Promise((resolve) => {
          answer = () => {
            resolve(service.pair());
          };
        }),
      new Response(null, { status: 204 }),
    ];
    const token = client.accessToken();
    await vi.advanceTimersByTimeAsync(100);
    const left = client.signOut();
    await vi.advanceTimersByTimeAsync(100);
    answer();
    await expect(within(token)).rejects.toEqual(new SignedOutError('here'));
    expect(await within(left)).toEqual({ acknowledged: true });
    expect([store.text, client.state]).toEqual([null, 'signed_out']);
  });

  it('is not undone by a refresh of another tab that did not see it yet', async () => {
    const { service, open } = setUp();
    const item: LateItem = { text: null, changedAtMs: 0, writer: undefined };
    const [one, other] = [open({ store: new LateView(item) }), open({ store: new LateView(item) })];
    await within(other.signIn(ADA));
    await vi.advanceTimersByTimeAsync(300_000);
    await one.wake();
    let answer = (): void => undefined;
    service.script = [
      () =>
        new Promise(
          (resolve) =>
            (answer = () => {
              resolve(service.pair());
            }),
        ),
    ];
    const token = other.accessToken();
    await vi.advanceTimersByTimeAsync(100);
    service.script = [new Response(null, { status: 204 })];
    const left = one.signOut();
    await vi.advanceTimersByTimeAsync(5);
    answer();
    await vi.advanceTimersByTimeAsync(5);
    expect(await within(token)).toBe('access-2');
    expect(await within(left)).toEqual({ acknowledged: true });
    await vi.advanceTimersByTimeAsync(50);
    await other.wake();
    expect([item.text, one.state, other.state]).toEqual([null, 'signed_out', 'signed_out']);
  });

  it.each(['token', 'cookie'] as const)(
    'in %s mode ends what another tab stored over it whenever that can be seen, and no later session',
    async (mode) => {
      const { store, open } = setUp(mode);
      const [one, other] = [open(), open()];
      await within(one.signIn(ADA));
      const before = store.text;
      await within(one.signOut());
      const told = vi.fn();
      one.on('signed_in', told);
      // The refresh of a tab on a busy machine, long after the sign-out has looked for it.
      store.text = before;
      await within(other.wake());
      expect(other.state).toBe('signed_in');
      await within(one.wake());
      await within(other.wake());
      expect([one.state, other.state, told.mock.calls.length]).toEqual(['signed_out', 'signed_out', 0]);
      await within(other.signIn(ADA));
      await within(one.wake());
      expect([one.state, other.state]).toEqual(['signed_in', 'signed_in']);
    },
  );

  it('waits 3 s for a refresh that hangs, and no longer', async () => {
    const { service, client } = await dueFor('token');
    service.script = [() => new Promise(() => undefined), new Response(null, { status: 204 })];
    client.accessToken().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(100);
    expect(await within(client.signOut(), 3_200)).toEqual({ acknowledged: true });
    expect(service.askedFor('/auth/logout')).toHaveLength(1);
  });

  it('everywhere asks for it with an access token, and is acknowledged only by that', async () => {
    const { service, client } = await dueFor('token');
    service.script = [() => service.pair(), new Response(null, { status: 204 })];
    expect(await within(client.signOut({ everywhere: true }))).toEqual({ acknowledged: true });
    expect(service.asked.map(({ path }) => path)).toEqual(['/auth/login', '/auth/refresh', '/auth/logout-all']);
    expect(service.asked[2]?.headers.get('authorization')).toBe('Bearer access-2');

    await within(client.signIn(ADA));
    service.script = [problem(503, 'temporarily_unavailable'), new Response(null, { status: 204 })];
    expect(await within(client.signOut({ everywhere: true }))).toEqual({ acknowledged: false });
    expect(service.asked.at(-1)?.path).toBe('/auth/logout');
  });
});

describe('signing in', () => {
  it('that is refused says why, and keeps the session that is there', async () => {
    const { service, client } = await dueFor('cookie');
    service.script = [problem(429, 'too_many_attempts', { 'retry-after': '30' }), problem(401, 'invalid_credentials')];
    await expect(within(client.signIn(ADA))).rejects.toMatchObject({
      code: 'too_many_attempts',
      status: 429,
      retryAfterSeconds: 30,
    });
    await expect(within(client.signIn(ADA))).rejects.toBeInstanceOf(RefusedError);
    expect(client.state).toBe('signed_in');
    expect(service.refreshes).toHaveLength(0);
  });

  it('whose answer is lost in cookie mode leaves open whose session it is, until the next use finds out', async () => {
    const { service, client } = await dueFor('cookie');
    service.script = [new Response('{"tok', { status: 200 })];
    await expect(within(client.signIn(ADA))).rejects.toBeInstanceOf(UnavailableError);
    expect(client.state).toBe('unknown');
    expect(await within(client.ready())).toBe('signed_in');
    service.script = [lost];
    await expect(within(client.signIn(ADA))).rejects.toBeInstanceOf(UnavailableError);
    service.script = [problem(401, 'refresh_token_invalid')];
    expect(await within(client.ready())).toBe('signed_out');
  });

  it('in cookie mode is found out where the browser has forgotten the record, and not tried after a sign-out', async () => {
    const { service, open } = setUp('cookie');
    const client = open();
    expect(client.state).toBe('unknown');
    expect(await within(client.ready())).toBe('signed_in');
    expect(service.refreshes).toHaveLength(1);
    service.script = [new Response(null, { status: 204 })];
    await within(client.signOut());
    expect(await within(open().ready())).toBe('signed_out');
    expect(service.refreshes).toHaveLength(1);
  });

  it('is seen with the next password, whose change opens the session anew', async () => {
    const { service, store, client } = await dueFor('token');
    await within(client.changePassword({ currentPassword: 'old', newPassword: 'new' }));
    expect(service.asked.at(-1)).toMatchObject({
      path: '/auth/password',
      body: { current_password: 'old', new_password: 'new' },
    });
    expect(service.asked.at(-1)?.headers.get('authorization')).toBe('Bearer access-2');
    expect(store.record).toMatchObject({ refresh_token: 'refresh-3' });
  });
});

describe('the events of a client', () => {
  it('reach other tabs when they look, with `elsewhere` as the reason of a sign-out', async () => {
    const { service, open } = setUp();
    const [one, two] = [open(), open()];
    const told: string[] = [];
    two.on('signed_in', () => told.push('signed_in'));
    two.on('signed_out', ({ reason }) => told.push(reason));
    two.on('refreshed', () => told.push('refreshed'));
    await within(one.signIn(ADA));
    await two.wake();
    await within(one.accessToken({ minValiditySeconds: 3_600 }));
    await two.wake();
    await within(one.signIn(ADA));
    await two.wake();
    service.script = [new Response(null, { status: 204 })];
    await within(one.signOut());
    await two.wake();
    expect(told).toEqual(['signed_in', 'refreshed', 'signed_in', 'elsewhere']);
    await expect(two.accessToken()).rejects.toEqual(new SignedOutError('elsewhere'));
  });

  it('are not waited for, and a listener may call any method', async () => {
    const { service, client } = await dueFor('token');
    const reported = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const tokens: string[] = [];
    client.on('refreshed', () => new Promise(() => undefined) as unknown as undefined);
    client.on('refreshed', () => {
      throw new Error('of a listener');
    });
    client.on('refreshed', async () => {
      tokens.push(await client.accessToken());
    });
    const end = client.on('refreshed', () => tokens.push('not ended'));
    end();
    client.on('signed_out', () => void client.signOut());
    expect(await within(client.accessToken(), 200)).toBe('access-2');
    await vi.advanceTimersByTimeAsync(0);
    expect(tokens).toEqual(['access-2']);
    expect(reported).toHaveBeenCalledExactlyOnceWith(new Error('of a listener'));
    reported.mockRestore();
    service.script = [new Response(null, { status: 204 }), new Response(null, { status: 204 })];
    await within(client.signOut(), 200);
  });
});

describe('fetch of a client', () => {
  const API = 'https://api.example.com';

  function answering(...answers: (() => Response)[]): { fetch: typeof fetch; sent: Request[]; setting: Setting } {
    const setting = setUp();
    const sent: Request[] = [];
    return {
      setting,
      sent,
      fetch: async (input, init) => {
        const url = input instanceof Request ? input.url : input.toString();
        if (url.startsWith('https://auth.example.com')) {
          return setting.service.fetch(input, init);
        }
        sent.push(new Request(input, init));
        return (answers.shift() ?? (() => json(200, {})))();
      },
    };
  }

  const refused = (): Response => problem(401, 'access_token_expired');

  it('sends the token to the resources and the service, and nothing of it anywhere else', async () => {
    const { setting, fetch, sent } = answering();
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    for (const url of [
      `${API}/orders`,
      new URL(`${API}/orders`),
      new Request(`${API}/orders`),
      'https://api.example.com.evil.test/',
      'https://evil.test/?https://api.example.com',
      'http://api.example.com/',
      'https://api.example.com:444/',
    ]) {
      await within(client.fetch(url));
    }
    expect(sent.map(({ headers }) => headers.get('authorization'))).toEqual([
      ...Array<string>(3).fill('Bearer access-1'),
      ...Array<null>(4).fill(null),
    ]);
    await within(client.fetch('https://auth.example.com/auth/me'));
    expect(setting.service.asked.at(-1)?.headers.get('authorization')).toBe('Bearer access-1');
    await within(client.fetch(`${API}/orders`, { headers: { authorization: 'Basic own' } }));
    expect(sent.at(-1)?.headers.get('authorization')).toBe('Basic own');
    expect(() => setting.open({ resources: [`${API}/orders`] })).toThrow('is no origin');
  });

  it.each([
    ['our code', refused],
    ['the code of a revoked token', () => problem(401, 'access_token_revoked')],
    [
      'an error of RFC 6750',
      () =>
        new Response('', { status: 401, headers: { 'www-authenticate': 'Bearer realm="x", error="invalid_token"' } }),
    ],
  ])('refreshes once and repeats once after a 401 with %s', async (_what, answer) => {
    const { setting, fetch, sent } = answering(answer);
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    const response = await within(client.fetch(`${API}/orders`, { method: 'POST', body: '{"a":1}' }));
    expect(response.status).toBe(200);
    expect(sent.map(({ headers }) => headers.get('authorization'))).toEqual(['Bearer access-1', 'Bearer access-2']);
    expect(await sent[1]?.text()).toBe('{"a":1}');
  });

  it('returns the second 401 as it is, and does not refresh again for a resource that refuses every token', async () => {
    const { setting, fetch, sent } = answering(...Array<() => Response>(20).fill(refused));
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    const statuses = [];
    for (let calls = 0; calls < 5; calls += 1) {
      const response = await within(client.fetch(`${API}/orders`));
      statuses.push([response.status, ((await response.json()) as { code: string }).code]);
    }
    expect(statuses).toEqual(Array(5).fill([401, 'access_token_expired']));
    expect(setting.service.refreshes).toHaveLength(1);
    expect(sent).toHaveLength(6);
  });

  it.each([
    ['a 401 of another kind', () => problem(401, 'invalid_credentials')],
    ['a 401 without a code', () => new Response('', { status: 401 })],
    ['a 403', () => problem(403, 'insufficient_role')],
  ])('leaves %s to the caller', async (_what, answer) => {
    const { setting, fetch } = answering(answer);
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    expect([401, 403]).toContain((await within(client.fetch(`${API}/orders`))).status);
    expect(setting.service.refreshes).toHaveLength(0);
  });

  it('does not send a stream twice, but refreshes for the next call', async () => {
    const { setting, fetch, sent } = answering(refused);
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    const body = new Blob(['piece']).stream();
    const init = { method: 'POST', body, duplex: 'half' } as unknown as RequestInit;
    expect((await within(client.fetch(`${API}/orders`, init))).status).toBe(401);
    expect(sent).toHaveLength(1);
    expect(await within(client.accessToken())).toBe('access-2');
  });

  it('needs one refresh for ten refused calls', async () => {
    const { setting, fetch } = answering(...Array<() => Response>(10).fill(refused));
    const client = setting.open({ fetch, resources: [API] });
    await within(client.signIn(ADA));
    const calls = Array.from({ length: 10 }, () => client.fetch(`${API}/orders`));
    expect((await within(Promise.all(calls))).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(setting.service.refreshes).toHaveLength(1);
  });

  it('throws before anything is sent when nobody is signed in, and when the signal is aborted', async () => {
    const { setting, fetch, sent } = answering();
    const client = setting.open({ fetch, resources: [API] });
    await expect(client.fetch(`${API}/orders`)).rejects.toBeInstanceOf(SignedOutError);
    await within(client.signIn(ADA));
    await expect(client.fetch(`${API}/orders`, { signal: AbortSignal.abort(new Error('left')) })).rejects.toThrow(
      'left',
    );
    expect(sent).toHaveLength(0);
  });

  it('with the access token in a cookie sends the cookie along, and no token', async () => {
    const setting = setUp('cookie');
    setting.service.isAccessCookie = true;
    const client = setting.open();
    await within(client.signIn(ADA));
    await within(client.fetch('https://auth.example.com/auth/me'));
    const asked = setting.service.asked.at(-1);
    expect([asked?.credentials, asked?.headers.get('authorization')]).toEqual(['include', null]);
    await expect(client.accessToken()).rejects.toMatchObject({ code: 'access_token_in_cookie' });
    vi.advanceTimersByTime(300_000);
    await within(client.fetch('https://auth.example.com/auth/me'));
    expect(setting.service.refreshes).toHaveLength(1);
  });
});

describe('the timer of a client whose access token is in a cookie', () => {
  /** A page that can be hidden and shown. */
  class Page extends EventTarget {
    readonly baseURI = 'https://auth.example.com/';
    visibilityState = 'visible';

    show(visibilityState: 'visible' | 'hidden'): void {
      this.visibilityState = visibilityState;
      this.dispatchEvent(new Event('visibilitychange'));
    }
  }

  async function inPage({ isAccessCookie = true } = {}): Promise<
    Omit<Setting, 'store'> & {
      readonly page: Page;
      readonly client: ReturnType<Setting['open']>;
    }
  > {
    const page = new Page();
    vi.stubGlobal('document', page);
    const setting = setUp('cookie');
    setting.service.isAccessCookie = isAccessCookie;
    const client = setting.open();
    await within(client.signIn(ADA));
    return { ...setting, page, client };
  }

  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('refreshes after seven to eight tenths of each token while the page is visible', async () => {
    const { service, client } = await inPage();
    await vi.advanceTimersByTimeAsync(209_000);
    expect(service.refreshes).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(32_000);
    expect(service.refreshes).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(service.refreshes.length).toBeGreaterThan(HOUR_MS / 241_000);
    expect(service.refreshes.length).toBeLessThan(2 + HOUR_MS / 210_000);
    client.dispose();
  });

  it('asks for nothing while the page is hidden, and once when it is shown again', async () => {
    const { service, page, client } = await inPage();
    page.show('hidden');
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(service.refreshes).toHaveLength(0);
    page.show('visible');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(service.refreshes).toHaveLength(1);
    client.dispose();
  });

  it('ends with the client and with the session', async () => {
    const { service, client } = await inPage();
    client.dispose();
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect([service.refreshes.length, vi.getTimerCount()]).toEqual([0, 0]);

    const other = await inPage();
    other.service.script = [new Response(null, { status: 204 })];
    await within(other.client.signOut());
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect([other.service.refreshes.length, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('does not exist where the token is in memory', async () => {
    const { service, client } = await inPage({ isAccessCookie: false });
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect([service.refreshes.length, vi.getTimerCount()]).toEqual([0, 0]);
    client.dispose();
  });
});

describe('a client in Node', () => {
  it('is an object of its own kind, which `reactive` and `ref` of Vue do not make a proxy of', () => {
    expect(Object.prototype.toString.call(setUp().open())).toBe('[object RatchetClient]');
  });

  it('needs no global of a browser, and keeps the record in memory', async () => {
    const { service } = setUp();
    const client = createClient({ baseUrl: 'https://auth.example.com/', mode: 'token', fetch: service.fetch });
    await within(client.signIn(ADA), 50);
    expect(await client.accessToken()).toBe('access-1');
    expect(service.asked[0]?.url).toBe('https://auth.example.com/auth/login');
    const other = createClient({ baseUrl: 'https://auth.example.com', mode: 'token', store: memoryStore() });
    expect(other.state).toBe('signed_out');
  });

  it('that is disposed of does nothing any more', async () => {
    const { service, client } = await dueFor('token');
    client.dispose();
    client.dispose();
    for (const call of [
      client.accessToken(),
      client.ready(),
      client.signIn(ADA),
      client.signOut(),
      client.fetch('https://auth.example.com/auth/me'),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'disposed' });
    }
    expect(service.refreshes).toHaveLength(0);
  });
});
