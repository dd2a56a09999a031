import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VerifierEvent } from './events.js';
import { KeySet } from './key-set.js';
import { FakeRuntime } from './testing-runtime.js';

const URL = 'http://auth/.well-known/jwks.json';
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });

function ec(kid: string, more: object = {}): object {
  return { ...EC.publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig', ...more };
}

describe('a key set', () => {
  let runtime: FakeRuntime;
  let keys: KeySet;
  let closing: AbortController;
  let events: VerifierEvent[];
  let ended: Promise<void>;

  beforeEach(async () => {
    runtime = new FakeRuntime();
    events = [];
    closing = new AbortController();
    keys = new KeySet(URL, ['ES256', 'RS256'], runtime, (event) => events.push(event));
    ended = keys.keepFresh(closing.signal);
    await runtime.settle();
  });

  afterEach(async () => {
    closing.abort();
    await ended;
  });

  async function answer(set: readonly object[], headers: Readonly<Record<string, string>> = {}): Promise<void> {
    const { length } = events;
    runtime.latest.answer(200, { keys: set }, { 'cache-control': 'public, max-age=300', ...headers });
    // Importing a key takes another thread; what it ends with is an event, or that the next pause has begun.
    for (let turn = 0; turn < 200 && events.length === length; turn += 1) {
      await runtime.settle();
    }
  }

  async function algorithmOf(kid: string): Promise<string | undefined> {
    return (await keys.find(kid, closing.signal))?.algorithm;
  }

  it('knows the keys of the set, each for its own algorithm', async () => {
    const rsa = { ...RSA.publicKey.export({ format: 'jwk' }), kid: 'r', alg: 'RS256' };
    await answer([ec('e'), rsa]);
    expect([await algorithmOf('e'), await algorithmOf('r')]).toEqual(['ES256', 'RS256']);
    expect(events).toEqual([{ event: 'keys_changed', kids: ['e', 'r'] }]);
  });

  it('leaves out every JWK that is no public signature key of a known algorithm', async () => {
    await answer([
      ec('good'),
      ec('good', { alg: 'RS256' }),
      ec('for encryption', { use: 'enc' }),
      ec('of no algorithm', { alg: undefined }),
      ec('of another algorithm', { alg: 'ES384' }),
      ec('of the wrong kind', { alg: 'RS256' }),
      ec('not on the curve', { x: 'AAAA' }),
      { kty: 'oct', kid: 'secret', alg: 'ES256', k: 'AAAA' },
      { ...ec('x'), kid: 7 },
    ]);
    expect(keys.kids).toEqual(['good']);
  });

  it('uses the public half only, even if the private one is published as well', async () => {
    await answer([ec('e', { ...EC.privateKey.export({ format: 'jwk' }) })]);
    expect((await keys.find('e', closing.signal))?.publicKey).toMatchObject({ type: 'public', usages: ['verify'] });
  });

  it('fetches the keys again before they are stale, and accepts 304 as an answer', async () => {
    await answer([ec('e')], { etag: '"1"' });
    expect(runtime.latest.headers).not.toHaveProperty('if-none-match');
    const question = await runtime.untilAsked();
    expect(question.askedAtMs).toBeCloseTo(4 * MINUTE_MS);
    expect(question.headers).toMatchObject({ 'if-none-match': '"1"' });
    question.answer(304);
    await runtime.settle();
    expect(keys.ageSeconds()).toBe(0);
    expect(await algorithmOf('e')).toBe('ES256');
    expect(events).toHaveLength(1);
  });

  it.each([
    ['no-store', 240],
    ['max-age=0', 24],
    ['public, max-age=60', 48],
    ['max-age=31536000', 2_880],
  ])('takes %j to mean: again after %i s', async (cacheControl, seconds) => {
    await answer([ec('e')], { 'cache-control': cacheControl });
    expect((await runtime.untilAsked()).askedAtMs).toBeCloseTo(seconds * 1000);
  });

  it('fetches once for an unknown key, however many callers wait, and answers all of them', async () => {
    await answer([ec('old')]);
    const found = Promise.all(Array.from({ length: 50 }, () => algorithmOf('new')));
    await runtime.settle();
    expect(runtime.questions).toHaveLength(2);
    await answer([ec('old'), ec('new')]);
    expect(new Set(await found)).toEqual(new Set(['ES256']));
  });

  it('fetches at most once per half minute for made-up key ids', async () => {
    await answer([ec('e')]);
    const madeUp = algorithmOf('x');
    await runtime.settle();
    await answer([ec('e')]);
    expect(await madeUp).toBeUndefined();
    expect(await algorithmOf('y')).toBeUndefined();
    await runtime.advance(29_999);
    expect(await algorithmOf('z')).toBeUndefined();
    expect(runtime.questions).toHaveLength(2);
    await runtime.advance(1);
    const later = algorithmOf('z');
    await runtime.settle();
    expect(runtime.questions).toHaveLength(3);
    await answer([ec('e'), ec('z')]);
    expect(await later).toBe('ES256');
  });

  it('does not count the answer to an earlier request as the look-up', async () => {
    await answer([ec('old')]);
    await runtime.untilAsked();
    const found = algorithmOf('new');
    await runtime.settle();
    expect(runtime.questions).toHaveLength(2);
    runtime.latest.answer(200, { keys: [ec('old')] });
    while (runtime.questions.length < 3) {
      await runtime.settle();
    }
    await answer([ec('old'), ec('new')]);
    expect(await found).toBe('ES256');
  });

  it('answers 503 for an unknown key while the issuer is away, and still uses the known keys', async () => {
    await answer([ec('e')]);
    const unknown = algorithmOf('x');
    await runtime.settle();
    runtime.latest.fail();
    await expect(unknown).rejects.toMatchObject({ code: 'temporarily_unavailable' });
    expect(await algorithmOf('e')).toBe('ES256');
  });

  it.each<[string, number, unknown]>([
    ['an error', 500, ''],
    ['a page of a proxy', 200, '<html>'],
    ['no set', 200, { keys: {} }],
    ['an empty set', 200, { keys: [] }],
    ['"the same", unasked', 304, ''],
  ])('keeps its keys when it gets %s', async (_what, status, body) => {
    await answer([ec('e')]);
    await runtime.untilAsked();
    runtime.latest.answer(status, body);
    while (events.length < 2) {
      await runtime.settle();
    }
    expect(events.at(-1)?.event).toBe('keys_not_loaded');
    expect(await algorithmOf('e')).toBe('ES256');
  });

  it('drops a key that the issuer has removed', async () => {
    await answer([ec('leaked'), ec('good')]);
    await runtime.untilAsked();
    await answer([ec('good')]);
    expect(keys.kids).toEqual(['good']);
  });

  it('uses the last keys for a day without the issuer, and no longer', async () => {
    await answer([ec('e')]);
    closing.abort();
    await runtime.advance(DAY_MS);
    expect(await algorithmOf('e')).toBe('ES256');
    await runtime.advance(1);
    await expect(algorithmOf('e')).rejects.toMatchObject({ code: 'temporarily_unavailable' });
  });
});
