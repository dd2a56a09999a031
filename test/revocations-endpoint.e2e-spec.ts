import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Agent, get, type IncomingMessage } from 'node:http';
import { Client } from 'pg';
import type { Response } from 'supertest';
import { RevocationReaderService } from '../src/tokens/revocation-reader.service.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { sessionIdOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { testRun } from './support/test-run.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const PATH = '/auth/revocations';

/** Generous, for a machine that runs other tests; an empty answer takes five seconds. */
const SOON_MS = 1_000;

interface Page {
  readonly revoked: readonly string[];
  readonly cursor: string;
  readonly age_seconds: number;
}

const END_SESSION = `update refresh_token_families
  set revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id(), revoke_reason = 'logout' where id = $1`;

describe('GET /auth/revocations', () => {
  const database = useDatabase();
  const line = useProxy(database);
  const near = useInstance(line, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
  const far = useInstance(database);
  const others = [useInstance(database)];

  afterEach(async () => {
    line.cutWhen(() => undefined);
    await line.resume();
    await eventually(async () => (await near.client.get('/health/ready')).status === 200, { withinMs: 5_000 });
  });

  it('without a cursor tells all that ended within the window, at once, and nothing older', async () => {
    const { pair: ended } = await far.client.signUpAndIn();
    const { pair: endedLongAgo } = await far.client.signUpAndIn();
    const { pair: alive } = await far.client.signUpAndIn();
    await far.client.logout({ refreshToken: ended.refresh_token });
    await database.sql(END_SESSION, [sessionIdOf(endedLongAgo)]);
    await ageSession(database, sessionIdOf(ended), 3_600);
    await ageSession(database, sessionIdOf(endedLongAgo), 3_721);
    const late = await startService(database);
    try {
      const askedAtMs = performance.now();
      const response = await late.client.get(PATH);
      expect(performance.now() - askedAtMs).toBeLessThan(SOON_MS);
      const page = pageOf(response);
      expect(Object.keys(page)).toEqual(['revoked', 'cursor', 'age_seconds', 'waited_seconds']);
      expect(page.revoked).toContain(sessionIdOf(ended));
      expect(page.revoked).not.toContain(sessionIdOf(endedLongAgo));
      expect(page.revoked).not.toContain(sessionIdOf(alive));
      expect(page.age_seconds).toBeGreaterThanOrEqual(0);
      expect(page.age_seconds).toBeLessThan(SOON_MS / 1_000);
      expect(response.headers['cache-control']).toBe('no-store');
    } finally {
      await late.stop();
    }
  });

  it('answers a waiting reader as soon as a session ends, on the instance that ended it and on another', async () => {
    const { pair } = await far.client.signUpAndIn();
    const waiting = [];
    for (const service of [near, far]) {
      const { cursor } = await readAll(service);
      waiting.push(readAfter(service, cursor));
      await untilWaiting(service, 1);
    }
    const endedAtMs = performance.now();
    await far.client.logout({ refreshToken: pair.refresh_token });
    for (const answer of waiting) {
      expect((await answer).revoked).toEqual([sessionIdOf(pair)]);
    }
    expect(performance.now() - endedAtMs).toBeLessThan(SOON_MS);
  });

  it('answers empty after five seconds without news, and not before', async () => {
    const { cursor } = await readAll(far);
    const askedAtMs = performance.now();
    const page = await readAfter(far, cursor);
    const tookMs = performance.now() - askedAtMs;
    expect(page.revoked).toEqual([]);
    expect(tookMs).toBeGreaterThan(4_900);
    expect(tookMs).toBeLessThan(6_000);
  });

  it('is not woken by the repetition of a logout', async () => {
    const { pair } = await far.client.signUpAndIn();
    await far.client.logout({ refreshToken: pair.refresh_token });
    const { pair: next } = await far.client.signUpAndIn();
    const { cursor } = await readAll(far);
    const answer = readAfter(far, cursor);
    await untilWaiting(far, 1);
    for (let count = 0; count < 3; count += 1) {
      await far.client.logout({ refreshToken: pair.refresh_token });
    }
    expect(far.app.get(RevocationReaderService).waitingCount).toBe(1);
    await far.client.logout({ refreshToken: next.refresh_token });
    expect((await answer).revoked).toEqual([sessionIdOf(next)]);
  });

  it('a reader that goes from instance to instance with one cursor misses nothing, also of what commits late', async () => {
    const known = new Set<string>();
    let { cursor } = await readAll(near);
    const turns = [far, ...others, near];
    const readOn = async (service: TestService, expected: readonly TokenPair[]): Promise<void> => {
      const ids = expected.map(sessionIdOf);
      await eventually(
        async () => {
          const page = await readAfter(service, cursor);
          page.revoked.forEach((id) => known.add(id));
          ({ cursor } = page);
          return ids.every((id) => known.has(id));
        },
        { withinMs: 3_000 },
      );
    };
    for (const [index, service] of turns.entries()) {
      const { pair: late } = await far.client.signUpAndIn();
      const { pair: prompt } = await far.client.signUpAndIn();
      const { pair: after } = await far.client.signUpAndIn();
      const held = await holdLock(database, END_SESSION, [sessionIdOf(late)]);
      await far.client.logout({ refreshToken: prompt.refresh_token });
      await readOn(service, [prompt]);
      expect(known).not.toContain(sessionIdOf(late));
      await held.release();
      await far.client.logout({ refreshToken: after.refresh_token });
      await readOn(turns[(index + 1) % turns.length]!, [late, after]);
    }
  });

  it.each([
    ['empty', ''],
    ['text', 'rubbish'],
    ['one part less', 'mZx0kQ3u5Xc.7041.pVb2Qk9Z'],
    ['one part more', 'mZx0kQ3u5Xc.7041.pVb2Qk9Z.12.1'],
    ['a negative number', 'mZx0kQ3u5Xc.-1.pVb2Qk9Z.12'],
    ['a leading zero', 'mZx0kQ3u5Xc.07.pVb2Qk9Z.12'],
    ['a number that is too long', `mZx0kQ3u5Xc.${'9'.repeat(21)}.pVb2Qk9Z.12`],
    ['SQL', "mZx0kQ3u5Xc.1' or '1'='1.pVb2Qk9Z.12"],
    ['NUL', 'mZx0kQ3u5Xc.7041.pVb2Qk9Z.12\0'],
    ['a line break', 'mZx0kQ3u5Xc.7041.pVb2Qk9Z.12\n'],
    ['eight thousand characters', 'a'.repeat(8_000)],
  ])('refuses a cursor that nobody has issued: %s', async (_what, cursor) => {
    const response = await far.client.get(`${PATH}?after=${encodeURIComponent(cursor)}`);
    expectProblem(response, 'validation_failed', [
      { field: 'after', message: 'must be the cursor of an earlier answer' },
    ]);
  });

  it.each(['after=a&after=b', 'after[]=a', 'after[x]=a', 'after=%zz', 'other=1', ''])(
    'takes ?%s without a crash',
    async (query) => {
      expect([200, 400]).toContain((await far.client.get(`${PATH}?${query}`)).status);
    },
  );

  it('refuses two cursors', async () => {
    const { cursor } = await readAll(far);
    const response = await far.client.get(`${PATH}?after=${cursor}&after=${cursor}`);
    expectProblem(response, 'validation_failed', [{ field: 'after', message: 'must be sent once' }]);
  });

  it.each([
    ['of another history', (cursor: string): string => cursor.replace(/^.{11}/, 'another-one')],
    ['from the future', (cursor: string): string => cursor.replace(/\.\d+\./, '.9999999999999999999.')],
  ])('gives the whole window to a cursor %s', async (_whence, change) => {
    const whole = await readAll(far);
    expect((await readAfter(far, change(whole.cursor))).revoked).toEqual(whole.revoked);
  });

  it('says 503 when the news is too old, and never that nothing has ended', async () => {
    const { cursor } = await readAll(near);
    line.freeze();
    await eventually(async () => (await near.client.get(PATH)).status === 503, { withinMs: 5_000 });
    expectUnavailable(await near.client.get(PATH), 'temporarily_unavailable');
    expectUnavailable(await near.client.get(`${PATH}?after=${cursor}`), 'temporarily_unavailable');
  });

  it('costs no query', async () => {
    const statements = recordStatements(line);
    const { cursor } = await readAll(near);
    await Promise.all(Array.from({ length: 50 }, () => readAll(near)));
    const { pair } = await far.client.signUpAndIn();
    const waiting = Array.from({ length: 50 }, () => readAfter(near, cursor));
    await far.client.logout({ refreshToken: pair.refresh_token });
    await Promise.all(waiting);
    expect(statements).toEqual([]);
  });

  it('goes on waiting while the feed finds a new connection, and tells what happened meanwhile', async () => {
    const { pair } = await far.client.signUpAndIn();
    const { cursor } = await readAll(near);
    const answer = readAfter(near, cursor);
    await untilWaiting(near, 1);
    line.refuse();
    await far.client.logout({ refreshToken: pair.refresh_token });
    await line.resume();
    expect((await answer).revoked).toEqual([sessionIdOf(pair)]);
  });

  it('keeps nothing of a reader that hangs up', async () => {
    const { cursor } = await readAll(far);
    const hangUp = new AbortController();
    const asked = Array.from({ length: 20 }, () =>
      fetch(`${far.url}${PATH}?after=${cursor}`, { signal: hangUp.signal }).catch(() => undefined),
    );
    await untilWaiting(far, 20);
    hangUp.abort();
    await Promise.all(asked);
    await eventually(() => far.app.get(RevocationReaderService).waitingCount === 0, { withinMs: 1_000 });
  });

  it('lets a thousand readers wait, answers the next one at once, and all of them at the first news', async () => {
    const { pair } = await far.client.signUpAndIn();
    const { cursor } = await readAll(far);
    const agent = new Agent({ keepAlive: false });
    const waiting = Array.from({ length: 1_000 }, () => readOver(agent, `${far.url}${PATH}?after=${cursor}`));
    await untilWaiting(far, 1_000);
    const askedAtMs = performance.now();
    expect((await readAfter(far, cursor)).revoked).toEqual([]);
    expect(performance.now() - askedAtMs).toBeLessThan(SOON_MS);
    await far.client.logout({ refreshToken: pair.refresh_token });
    const pages = await Promise.all(waiting);
    expect(new Set(pages.map(({ revoked }) => revoked.join()))).toEqual(new Set([sessionIdOf(pair)]));
  });
});

describe('GET /auth/revocations of a long list', () => {
  const ENDED = 5_000;
  const database = useDatabase();

  it('comes in pages that a reader follows, whose age says that they are not all, and few at a time', async () => {
    await database.sql(
      `with ended_user as (
         insert into users (id, email, password_hash) values (gen_random_uuid(), 'many@example.com', 'x') returning id
       )
       insert into refresh_token_families (id, user_id, secret_hash, generation, key_id, rotated_at, created_at,
         expires_at, revoked_at, revoked_xid, revoke_reason)
       select gen_random_uuid(), ended_user.id, '\\x00', 1, 1, now(), now(), now() + interval '1 day', now(),
         pg_current_xact_id(), 'logout'
       from ended_user, generate_series(1, $1::integer)`,
      [ENDED],
    );
    const service = await startService(database);
    try {
      const known = new Set<string>();
      const sizes: number[] = [];
      let page = await readAll(service);
      for (;;) {
        page.revoked.forEach((id) => known.add(id));
        sizes.push(page.revoked.length);
        if (page.age_seconds < 3_720) {
          break;
        }
        page = await readAfter(service, page.cursor);
      }
      expect(known.size).toBe(ENDED);
      expect(sizes).toEqual([2_000, 2_000, 1_000]);

      const reader = service.app.get(RevocationReaderService);
      const sendings = Array.from({ length: 64 }, () => reader.beginAnswer(100_000));
      const refused = await service.client.get(PATH);
      expectProblem(refused, 'overloaded');
      expect(refused.headers['retry-after']).toBe('1');
      expect((await readAfter(service, page.cursor)).revoked).toEqual([]);
      sendings.forEach((end) => {
        end();
      });
      expect((await readAll(service)).revoked).toHaveLength(2_000);
    } finally {
      await service.stop();
    }
  });
});

describe('GET /auth/revocations of an instance that stops', () => {
  it('answers waiting readers first, so that they do not delay the stop', async () => {
    const database = await createTestDatabase();
    const service = await startService(database);
    const { cursor } = await readAll(service);
    const answers = Array.from({ length: 20 }, () => readAfter(service, cursor));
    await untilWaiting(service, 20);
    const stoppedAtMs = performance.now();
    const stopped = service.stop();
    for (const page of await Promise.all(answers)) {
      expect(page.revoked).toEqual([]);
    }
    expect(performance.now() - stoppedAtMs).toBeLessThan(500);
    await stopped;
    await database.close();
  });
});

describe('GET /auth/revocations over a server that does not tell its history', () => {
  let database: TestDatabase;
  let services: readonly TestService[];

  beforeEach(async () => {
    database = await createTestDatabase();
    const admin = new Client({ connectionString: withPath(testRun().adminUrl, database.url) });
    await admin.connect();
    await admin.query('revoke execute on function pg_control_system() from public');
    await admin.end();
    services = await Promise.all([startService(database), startService(database)]);
  });

  afterEach(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.close();
  });

  it('still follows, on any instance, by the last start of the server', async () => {
    const [one, other] = services;
    const [first, second] = await Promise.all([one!.client.signUpAndIn(), one!.client.signUpAndIn()]);
    await one!.client.logout({ refreshToken: first.pair.refresh_token });
    const { cursor } = await readAll(one!);
    await one!.client.logout({ refreshToken: second.pair.refresh_token });
    expect((await readAfter(one!, cursor)).revoked).toEqual([sessionIdOf(second.pair)]);
    await eventually(async () => (await readAll(other!)).revoked.length === 2, { withinMs: SOON_MS });
    expect((await readAfter(other!, cursor)).revoked).toContain(sessionIdOf(second.pair));
  });
});

function pageOf(response: Response): Page {
  if (response.status !== 200) {
    throw new Error(`expected 200, got ${response.status}: ${response.text}`);
  }
  return response.body as Page;
}

async function readAll({ client }: TestService): Promise<Page> {
  return pageOf(await client.get(PATH));
}

async function readAfter({ client }: TestService, cursor: string): Promise<Page> {
  return pageOf(await client.get(`${PATH}?after=${cursor}`));
}

async function untilWaiting({ app }: TestService, count: number): Promise<void> {
  await eventually(() => app.get(RevocationReaderService).waitingCount >= count, { withinMs: 5_000 });
}

async function readOver(agent: Agent, url: string): Promise<Page> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { agent }, resolve).on('error', reject);
  });
  return JSON.parse(Buffer.concat((await response.toArray()) as Buffer[]).toString()) as Page;
}

function withPath(url: string, otherUrl: string): string {
  const changed = new URL(url);
  changed.pathname = new URL(otherUrl).pathname;
  return changed.href;
}
