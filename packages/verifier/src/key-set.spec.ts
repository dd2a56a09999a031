import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VerifierEvent } from './events.js';
import { KeySet } from './key-set.js';
import { FakeRuntime } from './testing-runtime.js';

const URL = 'http://auth/.well-known/jwks.json';
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const P384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const WEAK_RSA = generateKeyPairSync('rsa', { modulusLength: 1024 });

function ec(kid: string, more: object = {}): object {
  return { ...EC.publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig', ...more };
}

function rsa(kid: string, more: object = {}): object {
  return { ...RSA.publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig', ...more };
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
    runtime.latest.answer(200, { keys: set }, { 'cache-control': 'public, max-age=300', ...headers });
    await runtime.settle();
  }

  async function algorithmOf(kid: string): Promise<string | undefined> {
    return (await keys.find(kid, closing.signal))?.algorithm;
  }

  it('knows the keys of the set, each for its own algorithm', async () => {
    await answer([ec('e'), rsa('r')]);
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
      ec('to agree on keys', { use: undefined, key_ops: ['deriveKey'] }),
      ec('of no list of operations', { key_ops: 'verify' }),
      { ...P384.publicKey.export({ format: 'jwk' }), kid: 'of another curve', alg: 'ES256' },
      rsa('that encrypts', { use: undefined, key_ops: ['encrypt', 'wrapKey'] }),
      rsa('of exponent 1', { e: 'AQ' }),
      rsa('of exponent 3', { e: 'Aw' }),
      rsa('of 1024 bits', WEAK_RSA.publicKey.export({ format: 'jwk' })),
      { kty: 'oct', kid: 'secret', alg: 'ES256', k: 'AAAA' },
      { ...ec('x'), kid: 7 },
    ]);
    expect(keys.kids).toEqual(['good']);
  });

  it('takes keys whose operations include verification', async () => {
    await answer([ec('e', { key_ops: ['verify'] }), rsa('r', { use: undefined, key_ops: ['verify', 'encrypt'] })]);
    expect(keys.kids).toEqual(['e', 'r']);
  });

  it('refuses the keys of a test kit in production, goes on with its own, and says why', async () => {
    runtime.isProduction = true;
    await answer([ec('own')]);
    const question = await runtime.untilAsked();
    question.answer(200, { keys: [ec('another'), ec('of a test kit', { ratchet_test: true })] });
    await runtime.settle();
    expect(keys.kids).toEqual(['own']);
    const reason = `${URL} holds keys of Ratchet's test kit, which are refused while NODE_ENV is production`;
    expect(events.at(-1)).toEqual({ event: 'keys_not_loaded', reason });
    expect(keys.lastFailure).toBe(reason);
  });

  it('takes the keys of a test kit outside production', async () => {
    await answer([ec('of a test kit', { ratchet_test: true })]);
    expect(keys.kids).toEqual(['of a test kit']);
  });

  it('does not read an answer that is too long', async () => {
    await answer([ec('e')]);
    await runtime.untilAsked();
    runtime.latest.answer(200, { keys: [ec('other')], padding: 'x'.repeat(65_536) });
    await runtime.settle();
    expect(events.at(-1)).toEqual({ event: 'keys_not_loaded', reason: 'an answer of more than 65536 bytes' });
    expect(keys.kids).toEqual(['e']);
  });

  it('uses the public half only, even if the private one is published as well', async () => {
    await answer([ec('e', { ...EC.privateKey.export({ format: 'jwk' }) })]);
    expect((await keys.find('e', closing.signal))?.publicKey).toMatchObject({ type: 'public' });
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

  it('finds a new key although another key id was made up just before, and refuses no token meanwhile', async () => {
    await answer([ec('old')]);
    const madeUp = algorithmOf('x');
    await runtime.settle();
    await answer([ec('old')]);
    expect(await madeUp).toBeUndefined();
    await expect(algorithmOf('new')).rejects.toMatchObject({ code: 'temporarily_unavailable' });
    await runtime.advance(5_000);
    const found = algorithmOf('new');
    await runtime.settle();
    await answer([ec('old'), ec('new')]);
    expect(await found).toBe('ES256');
  });

  it('looks up a key id that is not there at most every 30 s, and refuses its tokens meanwhile', async () => {
    await answer([ec('e')]);
    const madeUp = algorithmOf('x');
    await runtime.settle();
    await answer([ec('e')]);
    expect(await madeUp).toBeUndefined();
    await runtime.advance(29_999);
    expect(await algorithmOf('x')).toBeUndefined();
    expect(runtime.questions).toHaveLength(2);
    await runtime.advance(1);
    const later = algorithmOf('x');
    await runtime.settle();
    expect(runtime.questions).toHaveLength(3);
    await answer([ec('e'), ec('x')]);
    expect(await later).toBe('ES256');
  });

  it('fetches at most every 5 s, however many key ids are made up', async () => {
    await answer([ec('e')]);
    for (let ms = 0; ms < 60_000; ms += 500) {
      const { length } = runtime.questions;
      const judged = algorithmOf(`made up ${ms}`).catch(() => undefined);
      await runtime.settle();
      if (runtime.questions.length > length) {
        await answer([ec('e')]);
      }
      await judged;
      await runtime.advance(500);
    }
    expect(runtime.questions).toHaveLength(1 + 12);
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
