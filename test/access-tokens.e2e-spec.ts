import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, verify } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import request from 'supertest';
import { KeysService } from '../src/keys/keys.service.js';
import type { SigningKey } from '../src/keys/keys.types.js';
import { UsersService } from '../src/users/users.service.js';
import { eventually } from './support/eventually.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { ageKeys, tickAll } from './support/signing-keys.js';
import { recordStatements } from './support/statement-log.js';
import {
  type Account,
  claimsOf,
  newIdempotencyKey,
  pairOf,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { base64url, compact, ecdsa, headerOf, hmac, rsa, TokenForge } from './support/token-forge.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const DAY_SECONDS = 86_400;

interface Jwk {
  readonly kty: string;
  readonly kid: string;
  readonly alg: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
}

/** Verifies as a backend would that knows nothing but the published set. */
async function verifiesWithPublishedKey(service: TestService, accessToken: string): Promise<boolean> {
  const { keys } = (await service.client.get('/.well-known/jwks.json')).body as { keys: Jwk[] };
  const [header = '', payload = '', signature = ''] = accessToken.split('.');
  const jwk = keys.find(({ kid }) => kid === headerOf(accessToken)['kid'])!;
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  return verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    jwk.kty === 'EC' ? { key, dsaEncoding: 'ieee-p1363' } : key,
    Buffer.from(signature, 'base64url'),
  );
}

describe('access tokens', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy);
  let account: Account & { readonly pair: TokenPair };
  let claims: Record<string, unknown>;
  let kid: string;
  let publicKey: KeyObject;

  beforeAll(async () => {
    account = await service.client.signUpAndIn();
    claims = claimsOf(account.pair.access_token);
    ({ kid, publicKey } = service.app.get(KeysService).signingKey());
  });

  describe('as they are issued', () => {
    it('carry what RFC 9068 asks for, the session and the roles, and nothing else', async () => {
      const signedUp = await service.client.signUp();
      await service.app.get(UsersService).setRoles(signedUp.id, ['orders:read', 'admin']);
      const pair = await service.client.signIn(signedUp);
      const [session] = await database.sql<{ id: string; seconds: number }>(
        'select id, floor(extract(epoch from created_at))::integer as seconds from refresh_token_families where user_id = $1',
        [signedUp.id],
      );
      expect(headerOf(pair.access_token)).toEqual({ alg: 'ES256', typ: 'at+jwt', kid });
      expect(claimsOf(pair.access_token)).toEqual({
        iss: 'http://localhost:3000',
        aud: 'ratchet',
        sub: signedUp.id,
        sid: session!.id,
        jti: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        iat: session!.seconds,
        exp: session!.seconds + 300,
        client_id: 'ratchet',
        auth_time: session!.seconds,
        acr: 'aal1',
        amr: ['pwd'],
        roles: ['admin', 'orders:read'],
        scope: 'admin orders:read',
      });
    });

    it('have a jti of their own each, also within one session', async () => {
      const { pair } = await service.client.signUpAndIn();
      const next = await service.client.rotate(pair.refresh_token);
      expect(sessionIdOf(next)).toBe(sessionIdOf(pair));
      expect(claimsOf(next.access_token)['jti']).not.toBe(claimsOf(pair.access_token)['jti']);
    });

    it('say after any refresh when and how the user signed in, which no refresh changes', async () => {
      const account = await service.client.signUp();
      await service.app.get(UsersService).setRoles(account.id, ['admin', 'reader']);
      const pair = await service.client.signIn(account);
      const id = sessionIdOf(pair);
      await ageSession(database, id, 3_600);
      const signedInAt = Number(claimsOf(pair.access_token)['auth_time']) - 3_600;
      const key = newIdempotencyKey();
      const rotated = await service.client.rotate(pair.refresh_token, key);
      const replayed = await service.client.rotate(pair.refresh_token, key);
      const narrowed = pairOf(await service.client.exchange(rotated.refresh_token, { scope: 'reader' }));
      for (const next of [rotated, replayed, narrowed]) {
        expect(claimsOf(next.access_token)).toMatchObject({ auth_time: signedInAt, acr: 'aal1', amr: ['pwd'] });
      }
      expect(await database.sql('select amr, auth_time from refresh_token_families where id = $1', [id])).toEqual([
        { amr: ['pwd'], auth_time: null },
      ]);
    });

    it('say the time of the opening, and not how, of a session that an instance of an earlier version has opened', async () => {
      const { pair } = await service.client.signUpAndIn();
      await database.sql(`update refresh_token_families set amr = default where id = $1`, [sessionIdOf(pair)]);
      await ageSession(database, sessionIdOf(pair), 3_600);
      const claims = claimsOf((await service.client.rotate(pair.refresh_token)).access_token);
      expect(claims).toMatchObject({
        auth_time: Number(claimsOf(pair.access_token)['auth_time']) - 3_600,
        acr: 'aal1',
      });
      expect(claims).not.toHaveProperty('amr');
    });

    it('say of a session that a later version has opened what its row says, in the class of the methods known', async () => {
      const { pair } = await service.client.signUpAndIn();
      await database.sql(
        `update refresh_token_families set amr = '{pwd,otp,mfa,later}', auth_time = to_timestamp(1764700000.9) where id = $1`,
        [sessionIdOf(pair)],
      );
      expect(claimsOf((await service.client.rotate(pair.refresh_token)).access_token)).toMatchObject({
        auth_time: 1_764_700_000,
        acr: 'aal2',
        amr: ['pwd', 'otp', 'mfa', 'later'],
      });
    });

    it('say what the settings say', async () => {
      const other = await startService(database, {
        JWT_ISSUER: 'https://auth.example.com',
        JWT_AUDIENCE: 'orders',
        ACCESS_TOKEN_TTL_SECONDS: '3600',
        REFRESH_TOKEN_TTL_SECONDS: '7200',
        REFRESH_TOKEN_IDLE_TTL_SECONDS: '4000',
      });
      const { pair } = await other.client.signUpAndIn();
      expect(pair).toMatchObject({ expires_in: 3_600, refresh_expires_in: 4_000 });
      const { iss, aud, iat, exp } = claimsOf(pair.access_token);
      expect({ iss, aud, lifetime: Number(exp) - Number(iat) }).toEqual({
        iss: 'https://auth.example.com',
        aud: 'orders',
        lifetime: 3_600,
      });
      // Neither instance takes the other's: the key is the same, issuer and audience are not.
      expect((await other.client.me(pair.access_token)).status).toBe(200);
      expectProblem(await service.client.me(pair.access_token), 'access_token_invalid');
      expectProblem(await other.client.me(account.pair.access_token), 'access_token_invalid');
      await other.stop();
    });

    it('never outlive their session', async () => {
      const { pair } = await service.client.signUpAndIn();
      await ageSession(database, sessionIdOf(pair), 30 * 86_400 - 100);
      await database.sql('update refresh_token_families set rotated_at = now() where id = $1', [sessionIdOf(pair)]);
      const next = await service.client.rotate(pair.refresh_token);
      const [session] = await database.sql<{ ends_at: number }>(
        'select floor(extract(epoch from expires_at))::integer as ends_at from refresh_token_families where id = $1',
        [sessionIdOf(pair)],
      );
      expect(claimsOf(next.access_token)['exp']).toBe(session!.ends_at);
      expect(next.expires_in).toBeLessThanOrEqual(100);
      expect(next.expires_in).toBeGreaterThan(90);
      expect(Math.abs(next.refresh_expires_in - next.expires_in)).toBeLessThanOrEqual(1);
    });
  });

  describe('the published keys', () => {
    it('are public halves, named by their RFC 7638 thumbprints', async () => {
      const response = await service.client.get('/.well-known/jwks.json');
      expect(response.status).toBe(200);
      expect(response.headers['content-type']).toMatch(/^application\/(jwk-set\+)?json/);
      expect(response.headers['cache-control']).toBe('public, max-age=300');
      expect(response.headers['etag']).toMatch(/^"[\w-]{43}"$/);
      const { x, y } = publicKey.export({ format: 'jwk' });
      expect(response.body).toEqual({ keys: [{ kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' }] });
      const thumbprint = createHash('sha256').update(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`);
      expect(thumbprint.digest('base64url')).toBe(kid);
    });

    it('may be kept for as long as the documentation says, and its header', async () => {
      const document = (await service.client.get('/openapi.json')).body as {
        paths: Record<string, { get: { description: string } }>;
      };
      const { description } = document.paths['/.well-known/jwks.json']!.get;
      expect(description.match(/\d+ s\b/g)).toEqual(['300 s', '30 s']);
      expect(description).not.toContain('day');
    });

    it('verify a token by themselves', async () => {
      expect(await verifiesWithPublishedKey(service, account.pair.access_token)).toBe(true);
      const [head, , signature] = account.pair.access_token.split('.');
      const tampered = `${head}.${base64url({ ...claims, sub: randomUUID() })}.${signature}`;
      expect(await verifiesWithPublishedKey(service, tampered)).toBe(false);
    });

    it('are not sent again to a client that has them', async () => {
      const { etag = '' } = (await service.client.get('/.well-known/jwks.json')).headers as Record<string, string>;
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const response = await request(service.url).get('/.well-known/jwks.json').set('if-none-match', known);
        expect(response.status).toBe(304);
        expect(response.text).toBe('');
        expect(response.headers['etag']).toBe(etag);
        expect(response.headers['cache-control']).toBe('public, max-age=300');
      }
      const response = await request(service.url).get('/.well-known/jwks.json').set('if-none-match', '"other"');
      expect(response.status).toBe(200);
    });

    it('outlive a restart, and are one set for all instances', async () => {
      const again = await startService(database);
      expect((await again.client.get('/.well-known/jwks.json')).body).toEqual(
        (await service.client.get('/.well-known/jwks.json')).body,
      );
      expect((await again.client.me(account.pair.access_token)).status).toBe(200);
      await again.stop();
    });
  });

  describe('as they are verified', () => {
    it('expire to the second', async () => {
      const forge = await TokenForge.like(account.pair.access_token, database);
      const exp = Math.floor(Date.now() / 1000);
      const justExpired = forge.withClaims({ iat: exp - 300, exp });
      expectProblem(await service.client.me(justExpired), 'access_token_expired');
      expectProblem(await service.client.logout({ accessToken: justExpired }), 'access_token_expired');
      expectProblem(await service.client.logoutAll(justExpired), 'access_token_expired');
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
    });

    it('invariant 9: cost no query when they are refused for signature or shape', async () => {
      const statements = recordStatements(proxy);
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      for (const token of [
        'x',
        'x.y.z',
        compact(headerOf(account.pair.access_token), claims, ecdsa(own.privateKey)),
        account.pair.refresh_token,
      ]) {
        for (const path of ['/auth/me', '/auth/sessions']) {
          expectProblem(await service.client.get(path, token), 'access_token_invalid');
        }
        expectProblem(await service.client.logoutAll(token), 'access_token_invalid');
        expectProblem(await service.client.logout({ accessToken: token }), 'access_token_invalid');
      }
      expect(statements).toEqual([]);
      await service.client.me(account.pair.access_token);
      expect(statements).toHaveLength(1);
    });
  });

  it('are gone with the account', async () => {
    const { id, pair } = await service.client.signUpAndIn();
    await database.sql('delete from users where id = $1', [id]);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
  });
});

describe('an instance whose clock is wrong', () => {
  const { database, service } = useService();

  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([
    ['ahead', 600],
    ['behind', -600],
  ])("judges access tokens by the database's time when it is ten minutes %s", async (_direction, seconds) => {
    const { pair } = await service.client.signUpAndIn();
    const forge = await TokenForge.like(pair.access_token, database);
    const exp = Math.floor(Date.now() / 1000);
    const justExpired = forge.withClaims({ iat: exp - 300, exp });
    // Only the time of day; what waits goes on waiting as ever.
    vi.useFakeTimers({ now: Date.now() + seconds * 1_000, toFake: ['Date'] });
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    // Now it is remembered.
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    expectProblem(await service.client.me(justExpired), 'access_token_expired');
  });

  it('says so, and is ready again when the clock is right', async () => {
    const isReady = async (): Promise<boolean> => (await service.client.get('/health/ready')).status === 200;
    const told = (): unknown[] =>
      service.logs.map(({ event }) => event).filter((event) => /^clock_/.test(String(event)));
    // What the tests before have set wrong has been told, and told to be right again.
    await eventually(async () => (await isReady()) && told().length % 2 === 0, { withinMs: 5_000 });
    const before = told().length;
    vi.useFakeTimers({ now: Date.now() + 151_000, toFake: ['Date'] });
    expectProblem(await service.client.get('/health/ready'), 'temporarily_unavailable');
    await eventually(() => told().length > before, { withinMs: 5_000 });
    vi.useRealTimers();
    expect(await isReady()).toBe(true);
    await eventually(() => told().length > before + 1, { withinMs: 5_000 });
    expect(told().slice(before)).toEqual(['clock_offset', 'clock_restored']);
  });
});

describe('signing keys that cannot be decrypted', () => {
  it('keep the service from starting, and no new ones are made in their place', async () => {
    const database = await createTestDatabase();
    const original = await startService(database);
    const { pair } = await original.client.signUpAndIn();
    await original.stop();
    const before = await database.sql('select * from signing_keys');

    const newSecret = 'another-auth-secret-of-the-tests-Wq3nR8tY5uK1pL6';
    await expect(startService(database, { AUTH_SECRET: newSecret })).rejects.toThrow(/AUTH_SECRET_ACCEPTED/);
    expect(await database.sql('select * from signing_keys')).toEqual(before);

    const rotated = await startService(database, { AUTH_SECRET: newSecret, AUTH_SECRET_ACCEPTED: AUTH_SECRET });
    expect((await rotated.client.me(pair.access_token)).status).toBe(200);
    expect((await rotated.client.refresh(pair.refresh_token)).status).toBe(200);
    await rotated.stop();
    await database.close();
  });
});

describe('access tokens under RS256', () => {
  let database: TestDatabase;
  let rs256: TestService;
  let ecKey: SigningKey;
  let ecToken: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    const es256 = await startService(database);
    ecKey = es256.app.get(KeysService).signingKey();
    ecToken = (await es256.client.signUpAndIn()).pair.access_token;
    await es256.stop();
    rs256 = await startService(database, { JWT_ALGORITHM: 'RS256' });
    await ageKeys(database, DAY_SECONDS + 60);
    await tickAll([rs256]);
  });

  afterAll(async () => {
    await rs256.stop();
    await database.close();
  });

  it('are signed by a 2048-bit key that is published beside the other', async () => {
    const { pair } = await rs256.client.signUpAndIn();
    const { kid, publicKey } = rs256.app.get(KeysService).signingKey();
    expect(headerOf(pair.access_token)).toEqual({ alg: 'RS256', typ: 'at+jwt', kid });
    expect(publicKey.asymmetricKeyDetails).toMatchObject({ modulusLength: 2048 });
    const { keys } = (await rs256.client.get('/.well-known/jwks.json')).body as { keys: Jwk[] };
    const { n, e } = publicKey.export({ format: 'jwk' });
    expect(keys).toHaveLength(2);
    expect(keys.find((key) => key.kid === kid)).toEqual({ kty: 'RSA', n, e, kid, alg: 'RS256', use: 'sig' });
    expect(createHash('sha256').update(`{"e":"${e}","kty":"RSA","n":"${n}"}`).digest('base64url')).toBe(kid);
    expect(await verifiesWithPublishedKey(rs256, pair.access_token)).toBe(true);
    expect((await rs256.client.me(pair.access_token)).status).toBe(200);
  });

  it('leave the tokens of the other algorithm good', async () => {
    expect((await rs256.client.me(ecToken)).status).toBe(200);
  });

  it('let no key serve an algorithm that is not its own', async () => {
    const { pair } = await rs256.client.signUpAndIn();
    const claims = claimsOf(pair.access_token);
    const rsaKey = rs256.app.get(KeysService).signingKey();
    const head = { typ: 'at+jwt' };
    const tokens = [
      compact({ ...head, alg: 'ES256', kid: rsaKey.kid }, claims, ecdsa(ecKey.privateKey)),
      compact({ ...head, alg: 'RS256', kid: ecKey.kid }, claims, rsa(rsaKey.privateKey)),
      compact({ ...head, alg: 'ES256', kid: rsaKey.kid }, claims, rsa(rsaKey.privateKey)),
      compact({ ...head, alg: 'RS512', kid: rsaKey.kid }, claims, rsa(rsaKey.privateKey)),
      ...['HS256', 'RS256'].map((alg) =>
        compact(
          { ...head, alg, kid: rsaKey.kid },
          claims,
          hmac(rsaKey.publicKey.export({ type: 'spki', format: 'pem' })),
        ),
      ),
    ];
    for (const token of tokens) {
      expectProblem(await rs256.client.me(token), 'access_token_invalid');
    }
    const control = compact({ ...head, alg: 'RS256', kid: rsaKey.kid }, claims, rsa(rsaKey.privateKey));
    expect((await rs256.client.me(control)).status).toBe(200);
  });
});
