import {
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  verify,
} from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import request, { type Response } from 'supertest';
import { AppModule } from '../src/app.module.js';
import { createApp } from '../src/app.setup.js';
import { Roles } from '../src/auth/roles.decorator.js';
import { Public } from '../src/common/public.decorator.js';
import { KeysService } from '../src/keys/keys.service.js';
import type { SigningKey } from '../src/keys/keys.types.js';
import { createLogger } from '../src/logging/logger.js';
import { UsersService } from '../src/users/users.service.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { sendRaw } from './support/raw-request.js';
import { ageKeys, tickAll } from './support/signing-keys.js';
import { type Account, claimsOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

/** The order of P-256's base point. */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

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

type Signer = (input: string) => Buffer;

function base64url(value: string | Buffer | object): string {
  const bytes = typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value);
  return Buffer.from(bytes as string).toString('base64url');
}

function ecdsa(key: KeyObject): Signer {
  return (input) => sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

function rsa(key: KeyObject): Signer {
  return (input) => sign('sha256', Buffer.from(input), key);
}

function hmac(secret: string | Buffer): Signer {
  return (input) => createHmac('sha256', secret).update(input).digest();
}

function compact(header: object | string, claims: object | string, signer: Signer): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${signer(input).toString('base64url')}`;
}

function headerOf(accessToken: string): Record<string, unknown> {
  const [header = ''] = accessToken.split('.');
  return JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
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
  let database: TestDatabase;
  let service: TestService;
  let account: Account & { readonly pair: TokenPair };
  let header: Record<string, unknown>;
  let claims: Record<string, unknown>;
  let kid: string;
  let privateKey: KeyObject;
  let publicKey: KeyObject;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await startService(database);
    account = await service.client.signUpAndIn();
    header = headerOf(account.pair.access_token);
    claims = claimsOf(account.pair.access_token);
    ({ kid, privateKey, publicKey } = service.app.get(KeysService).signingKey());
  });

  afterAll(async () => {
    await service.stop();
    await database.close();
  });

  async function meWith(authorization: string): Promise<Response> {
    return request(service.url).get('/auth/me').set('authorization', authorization);
  }

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
        roles: ['admin', 'orders:read'],
        scope: 'admin orders:read',
      });
    });

    it('have an identity of their own each, also within one session', async () => {
      const { pair } = await service.client.signUpAndIn();
      const next = await service.client.rotate(pair.refresh_token);
      expect(sessionIdOf(next)).toBe(sessionIdOf(pair));
      expect(claimsOf(next.access_token)['jti']).not.toBe(claimsOf(pair.access_token)['jti']);
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

    it('verify a token by themselves', async () => {
      expect(await verifiesWithPublishedKey(service, account.pair.access_token)).toBe(true);
      const [head, , signature] = account.pair.access_token.split('.');
      const tampered = `${head}.${base64url({ ...claims, sub: randomUUID() })}.${signature}`;
      expect(await verifiesWithPublishedKey(service, tampered)).toBe(false);
    });

    it('are not sent again to who has them', async () => {
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
    it('pass when the key signed what the service would have written', async () => {
      expect((await service.client.me(compact(header, claims, ecdsa(privateKey)))).status).toBe(200);
      const iat = nowSeconds();
      const longest = compact(header, { ...claims, iat, exp: iat + 3_600 }, ecdsa(privateKey));
      expect((await service.client.me(longest)).status).toBe(200);
    });

    it.each<[string, object]>([
      ['another issuer', { iss: 'http://localhost:3001' }],
      ['no issuer', { iss: undefined }],
      ['an issuer with a slash', { iss: 'http://localhost:3000/' }],
      ['another audience', { aud: 'orders' }],
      ['no audience', { aud: undefined }],
      ['a list of other audiences', { aud: ['orders', 'billing'] }],
      ['no expiry', { exp: undefined }],
      ['an expiry that is text', { exp: String(nowSeconds() + 60) }],
      ['an expiry that is null', { exp: null }],
      ['an expiry with a fraction', { exp: nowSeconds() + 60.5 }],
      ['an expiry beyond all numbers', { exp: 1e308 }],
      ['a life of more than an hour', { iat: nowSeconds(), exp: nowSeconds() + 3_601 }],
      ['a time of issue after its expiry', { iat: nowSeconds() + 100, exp: nowSeconds() + 60 }],
      ['no time of issue', { iat: undefined }],
      ['a time of issue that is text', { iat: String(nowSeconds()) }],
      ['a beginning in the future', { nbf: nowSeconds() + 60 }],
      ['a session that is no UUID', { sid: 'session' }],
      ['a session in capitals, which no revocation would name', { sid: 'ABCDEFAB-CDEF-4ABC-8DEF-ABCDEFABCDEF' }],
      ['no session', { sid: undefined }],
      ['a subject that is no UUID', { sub: 'ada@example.com' }],
      ['no token id', { jti: undefined }],
      ['a token id that is a number', { jti: 1 }],
      ['roles that are text', { roles: 'admin' }],
      ['roles that are not all text', { roles: ['admin', 1] }],
      ['no roles', { roles: undefined }],
    ])('are refused with %s, even under the right signature', async (_kind, change) => {
      const token = compact(header, { ...claims, ...change }, ecdsa(privateKey));
      expectProblem(await service.client.me(token), 'access_token_invalid');
    });

    it.each<[string, object]>([
      ['JWT for a type', { typ: 'JWT' }],
      ['the long type', { typ: 'application/at+jwt' }],
      ['a type in capitals', { typ: 'AT+JWT' }],
      ['no type', { typ: undefined }],
      ['no key id', { kid: undefined }],
      ['an unknown key id', { kid: 'A'.repeat(43) }],
      ['a path for a key id', { kid: '../../../../dev/null' }],
      ['SQL for a key id', { kid: "' or 1=1 --" }],
      ['a property of objects for a key id', { kid: '__proto__' }],
      ['a number for a key id', { kid: 1 }],
      ['a list for a key id', { kid: [] }],
      ['crit', { crit: ['exp'] }],
      ['b64', { b64: false, crit: ['b64'] }],
      ['zip', { zip: 'DEF' }],
      ['jku', { jku: 'https://evil.example/jwks.json' }],
      ['x5u', { x5u: 'https://evil.example/x5u' }],
      ['a content type', { cty: 'JWT' }],
    ])('are refused with %s in the header, even under the right signature', async (_kind, change) => {
      const token = compact({ ...header, ...change }, claims, ecdsa(privateKey));
      expectProblem(await service.client.me(token), 'access_token_invalid');
    });

    it('are refused with a key of their own', async () => {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const jwk = own.publicKey.export({ format: 'jwk' });
      for (const change of [{}, { jwk }, { x5c: ['MIIB'] }]) {
        const token = compact({ ...header, ...change }, claims, ecdsa(own.privateKey));
        expectProblem(await service.client.me(token), 'access_token_invalid');
      }
    });

    it.each(['none', 'None', 'NONE', 'nOnE'])('are refused unsigned (%s)', async (alg) => {
      const unsigned = `${base64url({ ...header, alg })}.${base64url(claims)}`;
      const [, , signature = ''] = account.pair.access_token.split('.');
      for (const token of [`${unsigned}.`, unsigned, `${unsigned}.${signature}`]) {
        expectProblem(await service.client.me(token), 'access_token_invalid');
      }
    });

    it('are refused when the public key served as the secret of an HMAC', async () => {
      const pem = publicKey.export({ type: 'spki', format: 'pem' });
      const secrets = [
        pem,
        pem.toString().trim(),
        publicKey.export({ type: 'spki', format: 'der' }),
        JSON.stringify(publicKey.export({ format: 'jwk' })),
        '',
      ];
      for (const secret of secrets) {
        for (const alg of ['HS256', 'ES256']) {
          const token = compact({ ...header, alg }, claims, hmac(secret));
          expectProblem(await service.client.me(token), 'access_token_invalid');
        }
      }
    });

    it.each(['ES384', 'ES512', 'RS256', 'PS256', 'EdDSA', 'ES256K', 'es256', 1, null])(
      'are refused when they name %j for the algorithm of an ES256 key',
      async (alg) => {
        const token = compact({ ...header, alg }, claims, ecdsa(privateKey));
        expectProblem(await service.client.me(token), 'access_token_invalid');
      },
    );

    it('are refused when anything in them has been changed', async () => {
      const [head = '', payload = '', signature = ''] = account.pair.access_token.split('.');
      const der = sign('sha256', Buffer.from(`${head}.${payload}`), privateKey);
      const raw = Buffer.from(signature, 'base64url');
      const tokens = [
        `${head}.${base64url({ ...claims, roles: ['admin'] })}.${signature}`,
        `${base64url({ typ: 'at+jwt', alg: 'ES256', kid })}.${payload}.${signature}`,
        `${head}.${payload}.${base64url(der)}`,
        `${head}.${payload}.${base64url(raw.subarray(0, 63))}`,
        `${head}.${payload}.${base64url(Buffer.concat([raw, Buffer.alloc(1)]))}`,
        `${head}.${payload}.${base64url(Buffer.alloc(64))}`,
        `${head}.${payload}.`,
        `${head}.${payload}`,
        `${head}..${signature}`,
        `.${payload}.${signature}`,
        `${head}.${payload}.${signature}.`,
        `${head}.${payload}.${signature}.${signature}`,
        `${head}.${payload}.${signature}=`,
        `${head}.${payload}.${signature.slice(0, -1)}${withOtherSlackBits(signature)}`,
        `${head}=.${payload}.${signature}`,
      ];
      for (const token of tokens) {
        expectProblem(await service.client.me(token), 'access_token_invalid');
      }
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
    });

    it('are refused as anything but a compact JWS of two JSON objects', async () => {
      const [head = '', payload = '', signature = ''] = account.pair.access_token.split('.');
      const tokens = [
        compact('null', claims, ecdsa(privateKey)),
        compact('[]', claims, ecdsa(privateKey)),
        compact('{', claims, ecdsa(privateKey)),
        compact(header, 'null', ecdsa(privateKey)),
        compact(header, '"text"', ecdsa(privateKey)),
        compact(header, '{', ecdsa(privateKey)),
        compact(header, '', ecdsa(privateKey)),
        base64url({ payload, protected: head, signature }),
        `${head}.${payload}.${payload}.${payload}.${signature}`,
        '...',
        'x',
        'A'.repeat(9_000),
        account.pair.refresh_token,
      ];
      for (const token of tokens) {
        expectProblem(await service.client.me(token), 'access_token_invalid');
      }
      expectProblem(await meWith(`Bearer ${'A'.repeat(20_000)}`), 'headers_too_large');
    });

    it('expire to the second', async () => {
      const exp = nowSeconds();
      const justExpired = compact(header, { ...claims, iat: exp - 300, exp }, ecdsa(privateKey));
      expectProblem(await service.client.me(justExpired), 'access_token_expired');
      expectProblem(await service.client.logout({ accessToken: justExpired }), 'access_token_expired');
      expectProblem(await service.client.logoutAll(justExpired), 'access_token_expired');
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
    });

    it('stay revoked whatever is done to the signature', async () => {
      const { pair } = await service.client.signUpAndIn();
      const [head = '', payload = '', signature = ''] = pair.access_token.split('.');
      const raw = Buffer.from(signature, 'base64url');
      // (r, n - s) verifies wherever (r, s) does.
      const s = P256_ORDER - BigInt(`0x${raw.toString('hex', 32)}`);
      const mirrored = Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
      const twin = `${head}.${payload}.${base64url(mirrored)}`;
      expect((await service.client.me(twin)).status).toBe(200);
      await service.client.logout({ accessToken: pair.access_token });
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
      expectProblem(await service.client.me(twin), 'access_token_revoked');
    });

    it('invariant 9: cost no query when they are refused for signature or shape', async () => {
      const lastQuery = async (): Promise<object[]> =>
        // The keys are looked at every ten seconds, whoever asks for what.
        database.sql(
          `select pid, query_start::text from pg_stat_activity
           where application_name = 'ratchet' and datname = current_database() and query not like '%signing_keys%'
           order by pid`,
        );
      await service.client.me(account.pair.access_token);
      const before = await lastQuery();
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      for (const token of ['x', 'x.y.z', compact(header, claims, ecdsa(own.privateKey)), account.pair.refresh_token]) {
        for (const path of ['/auth/me', '/auth/sessions']) {
          expectProblem(await service.client.get(path, token), 'access_token_invalid');
        }
        expectProblem(await service.client.logoutAll(token), 'access_token_invalid');
        expectProblem(await service.client.logout({ accessToken: token }), 'access_token_invalid');
      }
      expect(before).not.toEqual([]);
      expect(await lastQuery()).toEqual(before);
      await service.client.me(account.pair.access_token);
      expect(await lastQuery()).not.toEqual(before);
    });
  });

  describe('the Authorization header', () => {
    it('is read whatever the case of its scheme, and with more spaces than one', async () => {
      for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
        expect((await meWith(`${scheme} ${account.pair.access_token}`)).status).toBe(200);
      }
    });

    it.each(['Basic dXNlcjpwYXNz', 'DPoP x', 'Negotiate', 'Bearerx y', 'Digest username="x"'])(
      'counts as absent when it is %j',
      async (authorization) => {
        expectProblem(await meWith(authorization), 'access_token_missing');
      },
    );

    it('is invalid when it is a bearer header without one b64token', async () => {
      const token = account.pair.access_token;
      for (const authorization of ['Bearer', `Bearer ${token} ${token}`, `Bearer ${token},x`, `Bearer "${token}"`]) {
        expectProblem(await meWith(authorization), 'access_token_invalid');
      }
    });

    it('is invalid when it comes twice, even with the same token', async () => {
      const authorization = `Bearer ${account.pair.access_token}`;
      for (const headers of [
        [authorization, authorization],
        [authorization, 'Bearer x'],
        ['Basic eDp5', authorization],
      ]) {
        expect(await codeWith(headers)).toBe('access_token_invalid');
      }
      expect(await codeWith([authorization])).toBeUndefined();
    });

    it('is the only place where a token counts', async () => {
      const token = account.pair.access_token;
      expectProblem(await service.client.me(), 'access_token_missing');
      expectProblem(await service.client.get(`/auth/me?access_token=${token}`), 'access_token_missing');
      const inCookie = await request(service.url).get('/auth/me').set('cookie', `access_token=${token}`);
      expectProblem(inCookie, 'access_token_missing');
      const inProxyHeader = await request(service.url).get('/auth/me').set('proxy-authorization', `Bearer ${token}`);
      expectProblem(inProxyHeader, 'access_token_missing');
    });

    /** The `code` of the answer to a request with several `Authorization` headers. */
    async function codeWith(authorizations: readonly string[]): Promise<string | undefined> {
      const headers = authorizations.map((authorization): [string, string] => ['authorization', authorization]);
      return (await sendRaw(service.url, { path: '/auth/me', headers })).body?.code;
    }
  });

  it('are gone with the account', async () => {
    const { id, pair } = await service.client.signUpAndIn();
    await database.sql('delete from users where id = $1', [id]);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
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

@Controller('probe')
class ProbeController {
  @Get('plain')
  plain(): string {
    return 'plain';
  }

  @Get('open')
  @Public()
  open(): string {
    return 'open';
  }

  @Get('admin')
  @Roles('admin')
  admin(): string {
    return 'admin';
  }

  @Get('staff')
  @Roles('support', 'admin')
  staff(): string {
    return 'staff';
  }
}

@Controller('admin-probe')
@Roles('admin')
class AdminProbeController {
  @Get('plain')
  plain(): string {
    return 'plain';
  }

  @Get('support')
  @Roles('support')
  support(): string {
    return 'support';
  }
}

class ProbeModule {}

describe('the guards on routes of another module', () => {
  let database: TestDatabase;
  let service: TestService;
  let app: NestFastifyApplication;
  let url: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await startService(database);
    const module = {
      module: ProbeModule,
      imports: [AppModule.forRoot(service.config, { url: database.url, directUrl: database.url })],
      controllers: [ProbeController, AdminProbeController],
    };
    app = await createApp(module, service.config, createLogger({ level: 'silent' }));
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterAll(async () => {
    await app.close();
    await service.stop();
    await database.close();
  });

  async function accessTokenWith(...roles: string[]): Promise<string> {
    const account = await service.client.signUp();
    await service.app.get(UsersService).setRoles(account.id, roles);
    return (await service.client.signIn(account)).access_token;
  }

  async function get(path: string, accessToken?: string): Promise<Response> {
    const call = request(url).get(path);
    return accessToken === undefined ? call : call.set('authorization', `Bearer ${accessToken}`);
  }

  it('ask for a token where a route says nothing, and only there where it does not say @Public()', async () => {
    expectProblem(await get('/probe/plain'), 'access_token_missing');
    expect((await get('/probe/plain', await accessTokenWith())).status).toBe(200);
    expect((await get('/probe/open')).status).toBe(200);
    // A bad token is no better than none there: nobody reads it.
    expect((await get('/probe/open', 'x')).status).toBe(200);
  });

  it('ask for one of the roles of a route', async () => {
    expectProblem(await get('/probe/admin'), 'access_token_missing');
    expectProblem(await get('/probe/admin', await accessTokenWith()), 'insufficient_role');
    expectProblem(await get('/probe/admin', await accessTokenWith('admins', 'support')), 'insufficient_role');
    expect((await get('/probe/admin', await accessTokenWith('admin', 'support'))).status).toBe(200);
    expect((await get('/probe/staff', await accessTokenWith('support'))).status).toBe(200);
    expectProblem(await get('/probe/staff', await accessTokenWith('billing')), 'insufficient_role');
  });

  it("let a route's own roles stand in for those of its controller", async () => {
    const [admin, support] = [await accessTokenWith('admin'), await accessTokenWith('support')];
    expect((await get('/admin-probe/plain', admin)).status).toBe(200);
    expectProblem(await get('/admin-probe/plain', support), 'insufficient_role');
    expect((await get('/admin-probe/support', support)).status).toBe(200);
    expectProblem(await get('/admin-probe/support', admin), 'insufficient_role');
  });
});

/** The last character of 64 bytes in base64url carries two bits that mean nothing: here with other ones in them. */
function withOtherSlackBits(signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet.charAt(alphabet.indexOf(signature.slice(-1)) ^ 1);
}
