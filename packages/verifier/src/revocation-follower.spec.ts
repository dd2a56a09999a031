import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VerifierEvent } from './events.js';
import { RevocationFollower } from './revocation-follower.js';
import { FakeRuntime } from './testing-runtime.js';

const URL = 'http://auth/auth/revocations';

function page(revoked: readonly string[], more: object = {}): object {
  return { revoked, cursor: `after-${revoked.join('-')}`, age_seconds: 0, waited_seconds: 0, ...more };
}

describe('a follower of revocations', () => {
  let runtime: FakeRuntime;
  let follower: RevocationFollower;
  let closing: AbortController;
  let events: VerifierEvent[];
  let ended: Promise<void>;

  beforeEach(async () => {
    runtime = new FakeRuntime();
    events = [];
    closing = new AbortController();
    follower = new RevocationFollower(URL, 10, runtime, (event) => events.push(event));
    ended = follower.follow(closing.signal);
    await runtime.settle();
  });

  afterEach(async () => {
    closing.abort();
    await ended;
  });

  async function answer(body: object): Promise<void> {
    runtime.latest.answer(200, body);
    await runtime.settle();
  }

  it('reads the whole window first, and after that only what has ended since', async () => {
    expect(runtime.latest.url).toBe(URL);
    expect(follower.isLoaded()).toBe(false);
    await answer(page(['a'], { cursor: 'x/ &' }));
    expect([follower.isLoaded(), follower.isRevoked('a'), follower.isRevoked('b')]).toEqual([true, true, false]);
    await runtime.advance(100);
    expect(runtime.latest.url).toBe(`${URL}?after=x%2F%20%26&wait=5`);
    await answer(page(['b']));
    expect([follower.isRevoked('a'), follower.isRevoked('b')]).toEqual([true, true]);
  });

  it('reads a long window without a pause, and is loaded with its last page', async () => {
    await answer(page(['a'], { age_seconds: 3_720.2 }));
    expect([follower.isLoaded(), follower.isStale(), follower.isRevoked('a')]).toEqual([false, true, true]);
    expect(runtime.latest.url).toBe(`${URL}?after=after-a&wait=5`);
    await answer(page(['b'], { age_seconds: 0.2 }));
    expect([follower.isLoaded(), follower.isStale(), follower.isRevoked('b')]).toEqual([true, false, true]);
  });

  it('computes its age from the time of the question, the wait and the age of the answer', async () => {
    expect(follower.ageSeconds()).toBe(Number.POSITIVE_INFINITY);
    await runtime.advance(400);
    await answer(page([], { age_seconds: 0.25 }));
    expect(follower.ageSeconds()).toBeCloseTo(0.65);
    await runtime.advance(300);
    const askedAtMs = runtime.latest.askedAtMs;
    await runtime.advance(5_200 - (runtime.monotonicMs() - askedAtMs));
    await answer(page([], { age_seconds: 0.5, waited_seconds: 5 }));
    expect(follower.ageSeconds()).toBeCloseTo(0.7);
  });

  it('never counts an answer as newer than its arrival', async () => {
    await runtime.advance(1_000);
    await answer(page([], { waited_seconds: 3_600 }));
    expect(follower.ageSeconds()).toBe(0);
  });

  it('does not get older when the next instance lags behind the last one', async () => {
    await answer(page([]));
    await runtime.advance(300);
    await answer(page([], { age_seconds: 4 }));
    expect(follower.ageSeconds()).toBeCloseTo(0.3);
  });

  it('is stale after its bound and not before', async () => {
    await answer(page([]));
    await runtime.advance(10_000);
    expect(follower.isStale()).toBe(false);
    await runtime.advance(1);
    expect(follower.isStale()).toBe(true);
  });

  it('pauses briefly after news, and longer after an answer without news', async () => {
    await answer(page(['a']));
    await runtime.advance(1_000);
    await answer(page(['a']));
    await runtime.advance(1_000);
    await answer(page(['a', 'b']));
    await runtime.advance(1_000);
    // The second was answered after a second, the other pauses count from one question to the next.
    expect(runtime.questions.map(({ askedAtMs }) => askedAtMs)).toEqual([0, 100, 1_000, 2_000]);
  });

  it('pauses between questions even when every answer comes at once and brings nothing new', async () => {
    await answer(page(['a']));
    for (let turn = 0; turn < 100; turn += 1) {
      await runtime.advance(100);
      await answer(page(['a']));
    }
    expect(runtime.questions.length).toBeLessThan(40);
  });

  it('gives up on an answer that does not arrive, and then asks for one that is not held back', async () => {
    await answer(page(['a'], { cursor: 'x' }));
    await runtime.advance(100);
    const silent = runtime.latest;
    await runtime.advance(6_999);
    expect(silent.signal.aborted).toBe(false);
    await runtime.advance(1);
    expect(silent.signal.aborted).toBe(true);
    await runtime.advance(100);
    expect(runtime.latest.url).toBe(`${URL}?after=x&wait=0`);
    expect(runtime.latest.askedAtMs).toBeLessThan(10_000);
    await answer(page([]));
    expect(follower.isStale()).toBe(false);
    await runtime.advance(300);
    expect(runtime.latest.url).toContain('wait=5');
    expect(events.map(({ event }) => event)).toEqual(['revocations_lost', 'revocations_restored']);
  });

  it('asks a service that is down less and less often, at least every two seconds, and reports the outage once', async () => {
    const pausesMs: number[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      const { askedAtMs } = runtime.latest;
      runtime.latest.fail();
      pausesMs.push((await runtime.untilAsked()).askedAtMs - askedAtMs);
    }
    expect(pausesMs).toEqual([75, 150, 300, 600, 1_200, 1_500, 1_500, 1_500]);
    expect(events).toEqual([{ event: 'revocations_lost', reason: 'connection refused' }]);
  });

  it('reads the window again when the service refuses its cursor, and forgets nothing', async () => {
    await answer(page(['a'], { cursor: 'x' }));
    await runtime.advance(100);
    runtime.latest.answer(400);
    await runtime.advance(100);
    expect(runtime.latest.url).toBe(URL);
    expect(follower.isRevoked('a')).toBe(true);
    await answer(page(['b']));
    expect([follower.isRevoked('a'), follower.isRevoked('b')]).toEqual([true, true]);
  });

  it.each<[string, number, unknown]>([
    ['a 503', 503, page(['b'])],
    ['another success', 204, ''],
    ['a page of a proxy', 200, '<html>'],
    ['no object', 200, 'null'],
    ['no list', 200, page([], { revoked: 'b' })],
    ['a list of other things', 200, page([], { revoked: ['b', 1] })],
    ['no cursor', 200, page(['b'], { cursor: undefined })],
    ['no age', 200, page(['b'], { age_seconds: undefined })],
    ['an age from the future', 200, page(['b'], { age_seconds: -5 })],
  ])('takes %s for no answer', async (_what, status, body) => {
    await answer(page(['a'], { cursor: 'x' }));
    await runtime.advance(100);
    runtime.latest.answer(status, body);
    await runtime.advance(100);
    expect(follower.isRevoked('b')).toBe(false);
    expect(follower.ageSeconds()).toBeGreaterThanOrEqual(0.2);
    expect(runtime.latest.url).toBe(`${URL}?after=x&wait=0`);
  });

  it('remembers an ended session for as long as a token can live, however often it is told, and no longer', async () => {
    await answer(page(['a']));
    closing.abort();
    await ended;
    await runtime.advance(3_719_000);
    closing = new AbortController();
    ended = follower.follow(closing.signal);
    await runtime.settle();
    await answer(page(['a']));
    expect(follower.isRevoked('a')).toBe(true);
    // The next question goes unanswered, the one after it comes after the hour and two minutes.
    await runtime.untilAsked();
    await runtime.untilAsked();
    await answer(page(['b']));
    expect([follower.isRevoked('a'), follower.isRevoked('b'), follower.size]).toEqual([false, true, 1]);
  });

  it('aborts its request and stops when it is closed', async () => {
    closing.abort();
    await ended;
    expect(runtime.latest.signal.aborted).toBe(true);
    expect(events).toEqual([]);
  });
});
