import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignJWT } from 'jose';
import { FakeRuntime } from './testing-runtime.js';
import { createVerifier, requireAnyRole, type Verifier } from './verifier.js';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const NOW = new Date('2026-01-01T00:00:00Z');
const NOW_SECONDS = NOW.getTime() / 1000;

function tokenOf(iat: number, exp: number): Promise<string> {
  return new SignJWT({ sid: randomUUID(), roles: ['admin'], scope: 'admin', client_id: 'ratchet', iat, exp })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'e' })
    .setIssuer('https://auth.example.com')
    .setAudience('orders')
    .setSubject(randomUUID())
    .setJti(randomUUID())
    .sign(privateKey);
}

describe('the time of a token', () => {
  let verifier: Verifier;

  beforeEach(async () => {
    const runtime = new FakeRuntime(NOW);
    verifier = createVerifier({ issuer: 'https://auth.example.com', audience: 'orders', revocations: 'off' }, runtime);
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
  ])('that %s', async (_what, iat, exp, verdict) => {
    const judged = verifier.verify(await tokenOf(NOW_SECONDS + iat, NOW_SECONDS + exp)).then(
      () => 'good',
      (error: unknown) => (error as { code: string }).code,
    );
    expect(await judged).toBe(verdict);
  });

  it('requires any one of several roles', async () => {
    const accessToken = await verifier.verify(await tokenOf(NOW_SECONDS, NOW_SECONDS + 300));
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
});
