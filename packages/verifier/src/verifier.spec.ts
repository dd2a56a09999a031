import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VerifierEvent } from './events.js';
import { FakeRuntime } from './testing-runtime.js';
import { createVerifier, requireAnyRole, type Verifier } from './verifier.js';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const NOW = new Date('2026-01-01T00:00:00Z');
const NOW_SECONDS = NOW.getTime() / 1000;

function tokenOf(iat: number, exp: number, more: object = {}): string {
  const ids = { sub: randomUUID(), sid: randomUUID(), jti: randomUUID(), client_id: 'ratchet' };
  const claims = { iss: 'https://auth.example.com', aud: 'orders', ...ids, roles: ['admin'], scope: 'admin', iat, exp };
  const input = [
    { alg: 'ES256', typ: 'at+jwt', kid: 'e' },
    { ...claims, ...more },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

describe('a verifier', () => {
  let verifier: Verifier;
  let runtime: FakeRuntime;
  let events: VerifierEvent[];

  beforeEach(async () => {
    runtime = new FakeRuntime(NOW);
    events = [];
    const onEvent = (event: VerifierEvent): unknown => events.push(event);
    verifier = createVerifier(
      { issuer: 'https://auth.example.com', audience: 'orders', revocations: 'off', onEvent },
      runtime,
    );
    await runtime.settle();
    runtime.latest.answer(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'e', alg: 'ES256' }] });
    while (!verifier.state().keys.isUsable) {
      await runtime.settle();
    }
  });

  afterEach(() => {
    verifier.close();
  });

  it.each<[string, number, number, string]>([
    ['expires in a second', -299, 1, 'good'],
    ['expires now', -300, 0, 'access_token_expired'],
    ['is of an hour', 0, 3_600, 'good'],
    ['is of more than an hour', -1, 3_600, 'access_token_invalid'],
    ['was issued in a minute, by a clock that is ahead', 60, 360, 'good'],
    ['was issued in more than a minute', 61, 361, 'access_token_invalid'],
  ])('judges the time of a token that %s', async (_what, iat, exp, verdict) => {
    const judged = verifier.verify(tokenOf(NOW_SECONDS + iat, NOW_SECONDS + exp)).then(
      () => 'good',
      (error: unknown) => (error as { code: string }).code,
    );
    expect(await judged).toBe(verdict);
  });

  it('requires any one of several roles', async () => {
    const accessToken = await verifier.verify(tokenOf(NOW_SECONDS, NOW_SECONDS + 300));
    expect(() => {
      requireAnyRole(accessToken, ['support', 'admin']);
    }).not.toThrow();
    expect(() => {
      requireAnyRole(accessToken, ['support']);
    }).toThrow(expect.objectContaining({ code: 'insufficient_role', status: 403 }));
    expect(() => {
      requireAnyRole(accessToken, []);
    }).toThrow(expect.objectContaining({ code: 'insufficient_role' }));
  });

  it.each<[string, object, string]>([
    ['issuer', { iss: 'http://localhost:3000' }, 'iss is "http://localhost:3000", expected "https://auth.example.com"'],
    ['audience', { aud: 'ratchet' }, 'aud is "ratchet", expected "orders"'],
    ['list of audiences', { aud: ['orders'] }, 'aud is ["orders"], expected "orders"'],
    ['value than an audience', { aud: undefined }, 'aud is absent, expected "orders"'],
  ])(
    'names what it expected and received when a token has another %s, in the error and in an event',
    async (_, more, reason) => {
      const refused = verifier.verify(tokenOf(NOW_SECONDS, NOW_SECONDS + 300, more));
      await expect(refused).rejects.toMatchObject({ code: 'access_token_invalid', message: reason });
      expect(events).toContainEqual({ event: 'access_token_refused', code: 'access_token_invalid', reason });
    },
  );

  it('tells nothing of a token that its key did not sign', async () => {
    const token = tokenOf(NOW_SECONDS, NOW_SECONDS + 300, { iss: 'text of an attacker' });
    const [header, , signature] = token.split('.');
    const claims = Buffer.from(JSON.stringify({ iss: 'text of an attacker' })).toString('base64url');
    await expect(verifier.verify(`${header}.${claims}.${signature}`)).rejects.toMatchObject({ message: 'signature' });
    expect(JSON.stringify(events)).not.toContain('attacker');
  });

  it('says in an event why it refuses any token, and nothing of a good one', async () => {
    await verifier.verify(tokenOf(NOW_SECONDS, NOW_SECONDS + 300));
    expect(events.map(({ event }) => event)).toEqual(['keys_changed']);
    await expect(verifier.verify(tokenOf(NOW_SECONDS - 300, NOW_SECONDS))).rejects.toThrow();
    await expect(verifier.verifyRequest(new Headers())).rejects.toThrow();
    expect(events.slice(1)).toMatchObject([
      { event: 'access_token_refused', code: 'access_token_expired' },
      { event: 'access_token_refused', code: 'access_token_missing' },
    ]);
  });

  it('names in ready() the reason for which it has no keys', async () => {
    const other = new FakeRuntime(NOW);
    const waiting = createVerifier(
      { issuer: 'https://auth.example.com', audience: 'orders', revocations: 'off' },
      other,
    );
    const ready = expect(waiting.ready({ withinSeconds: 1 })).rejects.toThrow(
      'keys or revocations were not loaded within 1 s: https://auth.example.com/.well-known/jwks.json answered 500',
    );
    await other.settle();
    other.latest.answer(500);
    await other.advance(1_000);
    await ready;
    waiting.close();
  });

  it.each<[string, number, unknown, string | undefined]>([
    ['names another issuer', 200, { issuer: 'http://127.0.0.1:3000' }, 'IssuerMismatchError'],
    ['names its issuer', 200, { issuer: 'https://auth.example.com' }, undefined],
    ['is not there', 404, '', undefined],
    ['is no metadata', 200, [], undefined],
  ])(
    'is ready unless the metadata of the service names another issuer: here it %s',
    async (_what, status, body, name) => {
      const ready = verifier.ready().then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      await runtime.settle();
      const question = runtime.latest;
      expect(question.url).toBe('https://auth.example.com/.well-known/oauth-authorization-server');
      question.answer(status, body);
      const error = await ready;
      expect(error?.name).toBe(name);
      if (name !== undefined) {
        expect(error?.message).toBe(
          '@ratchet/verifier: issuer is "https://auth.example.com", but ' +
            'https://auth.example.com/.well-known/oauth-authorization-server says "http://127.0.0.1:3000"',
        );
      }
    },
  );
});
