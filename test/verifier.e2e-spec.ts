import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createVerifier, type Verifier, type VerifierEvent, type VerifierOptions } from '@ratchet/verifier';
import { ServerKeys } from '../src/platform/common/server-keys.js';
import { KeysService } from '../src/keys/keys.service.js';
import { encryptPrivateKey } from '../src/keys/signing-key.cipher.js';
import { generateSigningKey } from '../src/keys/signing-key.generator.js';
import { UsersService } from '../src/users/users.service.js';
import { eventually } from './support/eventually.js';
import { LoadBalancer } from './support/load-balancer.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { claimsOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { startService } from './support/test-service.js';
import { useDatabase, useInstance, useService } from './support/use-service.js';

const ISSUER = 'http://localhost:3000';
const AUDIENCE = 'ratchet';

/** Promised within a second; twice that for a machine that runs other tests at the same time. */
const BOUND_MS = 2_000;

/** The order of P-256's base point. */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

type Signer = (input: string) => Buffer;

const verifiers: Verifier[] = [];
let events: VerifierEvent[] = [];

/** Follows revocations and rejects when they are stale, unless the test says otherwise. */
async function verifierFor(baseUrl: string, options: Partial<VerifierOptions> = {}): Promise<Verifier> {
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    baseUrl,
    revocations: 'follow',
    whenFeedIsStale: 'reject',
    onEvent: (event) => events.push(event),
    ...options,
  });
  verifiers.push(verifier);
  await verifier.ready({ withinSeconds: 5 });
  return verifier;
}

/** `good`, or the code of the error. */
async function judge(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token);
    return 'good';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

async function eventuallyJudges(verifier: Verifier, token: string, verdict: string, withinMs: number): Promise<void> {
  await eventually(async () => (await judge(verifier, token)) === verdict, { withinMs });
}

afterEach(() => {
  verifiers.splice(0).forEach((verifier) => {
    verifier.close();
  });
  events = [];
});

function base64url(value: string | Buffer | object): string {
  const bytes = typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value);
  return Buffer.from(bytes as string).toString('base64url');
}

function ecdsa(key: KeyObject): Signer {
  return (input) => sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

function compact(header: object, claims: object, signer: Signer): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${signer(input).toString('base64url')}`;
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

describe('a verifier in a backend', () => {
  const { service } = useService();
  let pair: TokenPair;
  let header: { readonly alg: string; readonly typ: string; readonly kid: string };
  let claims: Record<string, unknown>;
  let privateKey: KeyObject;
  let publicKey: KeyObject;
  let verifier: Verifier;

  beforeAll(async () => {
    const account = await service.client.signUp();
    await service.app.get(UsersService).setRoles(account.id, ['orders:read', 'admin']);
    pair = await service.client.signIn(account);
    claims = claimsOf(pair.access_token);
    const key = service.app.get(KeysService).signingKey();
    ({ privateKey, publicKey } = key);
    header = { alg: 'ES256', typ: 'at+jwt', kid: key.kid };
  });

  beforeEach(async () => {
    verifier = await verifierFor(service.url);
  });

  it('returns the identity of a good token', async () => {
    const { sub, sid, jti, iat, exp, auth_time } = claims;
    expect(await verifier.verify(pair.access_token)).toEqual({
      userId: sub as string,
      sessionId: sid as string,
      tokenId: jti as string,
      roles: ['admin', 'orders:read'],
      scope: 'admin orders:read',
      clientId: 'ratchet',
      issuedAt: new Date(Number(iat) * 1000),
      expiresAt: new Date(Number(exp) * 1000),
      acr: 'aal1',
      amr: ['pwd'],
      authenticatedAt: new Date(Number(auth_time) * 1000),
    });
  });

  it('reads a token that does not say what its sign-in proved as the weakest and oldest, like the service', async () => {
    const token = compact(
      header,
      { ...claims, acr: undefined, amr: undefined, auth_time: undefined },
      ecdsa(privateKey),
    );
    expect(await verifier.verify(token)).toMatchObject({ acr: 'aal1', amr: [], authenticatedAt: new Date(0) });
    const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
    const judged = await fetch(`${service.url}/auth/verify`, { headers });
    expect(await judged.json()).toMatchObject({ acr: 'aal1', amr: [], auth_time: 0 });
  });

  it('reads absent roles and scope, and the empty ones of earlier versions of the service, as none', async () => {
    for (const none of [
      { roles: undefined, scope: undefined },
      { roles: [], scope: '' },
    ]) {
      const token = compact(header, { ...claims, ...none }, ecdsa(privateKey));
      expect(await verifier.verify(token)).toMatchObject({ roles: [], scope: '' });
      expect((await service.client.get('/auth/verify', token)).headers).toMatchObject({
        'x-user-roles': '',
        'x-user-scope': '',
      });
    }
  });

  it('takes a token from the Authorization header of a request', async () => {
    const headers = new Headers({ authorization: `Bearer ${pair.access_token}` });
    expect(await verifier.verifyRequest(headers)).toEqual(await verifier.verify(pair.access_token));
    await expect(verifier.verifyRequest(new Headers())).rejects.toMatchObject({ code: 'access_token_missing' });
  });

  it.each<[string, object]>([
    ['another issuer', { iss: 'http://localhost:3001' }],
    ['an issuer with a slash', { iss: 'http://localhost:3000/' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'orders' }],
    ['a list of audiences that has ours', { aud: ['ratchet'] }],
    ['no audience', { aud: undefined }],
    ['no expiry', { exp: undefined }],
    ['an expiry that is text', { exp: '9999999999' }],
    ['an expiry with a fraction', { exp: nowSeconds() + 60.5 }],
    ['an expiry beyond all numbers', { exp: 1e308 }],
    ['a life of more than an hour', { iat: nowSeconds(), exp: nowSeconds() + 3_601 }],
    ['no time of issue', { iat: undefined }],
    ['a time of issue that is to come', { iat: nowSeconds() + 90, exp: nowSeconds() + 300 }],
    ['a user that is no UUID', { sub: '1' }],
    ['no session', { sid: undefined }],
    ['no id', { jti: undefined }],
    ['roles that are text', { roles: 'admin' }],
    ['a role that is none', { roles: [{}] }],
    ['a scope that is a list', { scope: ['admin'] }],
    ['no client', { client_id: undefined }],
    ['a class that is no text', { acr: 2 }],
    ['methods that are text', { amr: 'pwd' }],
    ['a method that is no text', { amr: [1] }],
    ['a time of authentication that is text', { auth_time: '1764700000' }],
    ['a time of authentication with a fraction', { auth_time: nowSeconds() - 0.5 }],
    ['a time of authentication of null', { auth_time: null }],
  ])('refuses a token with %s, though the right key signed it', async (_what, difference) => {
    expect(await judge(verifier, compact(header, { ...claims, ...difference }, ecdsa(privateKey)))).toBe(
      'access_token_invalid',
    );
    expect(await judge(verifier, compact(header, claims, ecdsa(privateKey)))).toBe('good');
  });

  it.each<[string, object]>([
    ['another type', { typ: 'JWT' }],
    ['its type written out', { typ: 'application/at+jwt' }],
    ['no type', { typ: undefined }],
    ['an unknown key', { kid: 'unknown' }],
    ['a key that is a path', { kid: '../../etc/passwd' }],
    ['a key that is a list', { kid: ['a'] }],
    ['a key named like a member of objects', { kid: '__proto__' }],
    ['the algorithm of another key', { alg: 'RS256' }],
    ['an algorithm that is not for tokens', { alg: 'ES384' }],
    ['an address of keys', { jku: 'http://127.0.0.1:1/' }],
    ['a key of its own', { jwk: { kty: 'EC' } }],
    ['a critical extension', { crit: ['b64'], b64: false }],
  ])('refuses a token whose header has %s', async (_what, difference) => {
    const token = compact({ ...header, ...difference }, claims, ecdsa(privateKey));
    expect(await judge(verifier, token)).toBe('access_token_invalid');
  });

  it('refuses tokens without a signature, and those signed with the published key only', async () => {
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const hmac: Signer = (input) => createHmac('sha256', pem).update(input).digest();
    const tokens = [
      ...['none', 'None', 'NONE'].map((alg) => compact({ ...header, alg }, claims, () => Buffer.alloc(0))),
      compact({ ...header, alg: 'none' }, claims, ecdsa(privateKey)),
      compact({ ...header, alg: 'HS256' }, claims, hmac),
      compact(header, claims, hmac),
      compact(header, claims, ecdsa(stranger)),
      compact(header, claims, () => Buffer.alloc(64)),
      compact(header, claims, (input) => sign('sha256', Buffer.from(input), privateKey)),
    ];
    for (const token of tokens) {
      expect(await judge(verifier, token)).toBe('access_token_invalid');
    }
  });

  it('refuses a token that is tampered with, cut, spelt in another way, or no access token at all', async () => {
    const [head = '', payload = '', signature = ''] = pair.access_token.split('.');
    const tokens = [
      `${head}.${base64url({ ...claims, sub: randomUUID() })}.${signature}`,
      `${head}.${payload}.`,
      `${head}.${payload}`,
      `${head}.${payload}.${signature}.`,
      `${head}.${payload}.${signature.slice(0, -1)}`,
      `${head}.${payload}.${signature}=`,
      ` ${pair.access_token}`,
      `${pair.access_token}\n`,
      pair.refresh_token,
      '',
      '...',
      JSON.stringify({ payload, protected: head, signature }),
      `${'a'.repeat(1_000_000)}.b.c`,
      { toString: () => pair.access_token } as unknown as string,
      undefined as unknown as string,
    ];
    for (const token of tokens) {
      expect(await judge(verifier, token)).toBe('access_token_invalid');
    }
  });

  it('tells a token that has expired from one that never was good', async () => {
    const iat = nowSeconds() - 300;
    expect(await judge(verifier, compact(header, { ...claims, iat, exp: nowSeconds() }, ecdsa(privateKey)))).toBe(
      'access_token_expired',
    );
  });

  it('refuses a revoked token also when its signature is changed into the other one that ECDSA allows', async () => {
    const { pair: ended } = await service.client.signUpAndIn();
    const [head = '', payload = '', signature = ''] = ended.access_token.split('.');
    const bytes = Buffer.from(signature, 'base64url');
    const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`);
    const otherS = Buffer.from((P256_ORDER - s).toString(16).padStart(64, '0'), 'hex');
    const twin = `${head}.${payload}.${Buffer.concat([bytes.subarray(0, 32), otherS]).toString('base64url')}`;
    expect(await judge(verifier, twin)).toBe('good');
    await service.client.logout({ refreshToken: ended.refresh_token });
    await eventuallyJudges(verifier, ended.access_token, 'access_token_revoked', BOUND_MS);
    expect(await judge(verifier, twin)).toBe('access_token_revoked');
  });

  it('knows of every end before its own start when it is ready', async () => {
    const { pair: ended } = await service.client.signUpAndIn();
    await service.client.logout({ refreshToken: ended.refresh_token });
    expect(await judge(await verifierFor(service.url), ended.access_token)).toBe('access_token_revoked');
  });

  it('believes a token of an ended session until it expires when it does not follow revocations', async () => {
    const { pair: ended } = await service.client.signUpAndIn();
    const careless = await verifierFor(service.url, { revocations: 'off' });
    await service.client.logout({ refreshToken: ended.refresh_token });
    await eventuallyJudges(verifier, ended.access_token, 'access_token_revoked', BOUND_MS);
    expect(await judge(careless, ended.access_token)).toBe('good');
    expect(careless.state().revocations).toBeUndefined();
  });
});

describe('a change of the signing key', () => {
  const { database, service } = useService();

  it('is followed without refusing a good token, of the old key or the new', async () => {
    const balancer = new LoadBalancer([service.url]);
    const verifier = await verifierFor(await balancer.start());
    const { pair: before } = await service.client.signUpAndIn();
    expect(await judge(verifier, before.access_token)).toBe('good');

    await replaceActiveKey();
    const restarted = await startService(database);
    // It signs with a key that was not published before, as after a leak; the verifier has to notice by itself.
    balancer.targets = [restarted.url];
    const { pair: after } = await restarted.client.signUpAndIn();
    const verdicts = await Promise.all(
      Array.from({ length: 20 }, (_, index) => judge(verifier, (index % 2 ? before : after).access_token)),
    );
    expect(new Set(verdicts)).toEqual(new Set(['good']));
    expect(events.filter(({ event }) => event === 'keys_changed')).toHaveLength(2);
    expect(balancer.asked.filter((path) => path === '/.well-known/jwks.json')).toHaveLength(2);
    verifier.close();
    await balancer.stop();
    await restarted.stop();
  });

  async function replaceActiveKey(): Promise<void> {
    const { kid, privateKey, publicJwk } = await generateSigningKey('ES256');
    const { id, signingKeyEncryptionKey } = service.app.get(ServerKeys).current;
    const encrypted = encryptPrivateKey(privateKey, kid, signingKeyEncryptionKey);
    await database.sql(`update signing_keys set status = 'retiring', retiring_at = now()`);
    await database.sql(
      `insert into signing_keys
         (kid, algorithm, status, public_jwk, private_key_encrypted, encryption_key_id, activated_at)
       values ($1, 'ES256', 'active', $2, $3, $4, now())`,
      [kid, JSON.stringify(publicJwk), encrypted, id],
    );
  }
});

describe('a verifier before several instances', () => {
  const database = useDatabase();
  const near = useInstance(database);
  const far = useInstance(database);

  it('learns of a logout on one from the other', async () => {
    const verifier = await verifierFor(far.url);
    for (let round = 0; round < 5; round += 1) {
      const { pair } = await near.client.signUpAndIn();
      expect(await judge(verifier, pair.access_token)).toBe('good');
      await near.client.logout({ accessToken: pair.access_token });
      await eventuallyJudges(verifier, pair.access_token, 'access_token_revoked', BOUND_MS);
    }
  });

  it('misses nothing while every question goes to another instance, and does not ask without a pause', async () => {
    const balancer = new LoadBalancer([near.url, far.url]);
    const verifier = await verifierFor(await balancer.start());
    const startedAtMs = performance.now();
    for (let round = 0; round < 10; round += 1) {
      const [at, ended] = [round % 2 ? near : far, (await near.client.signUpAndIn()).pair];
      await at.client.logout({ refreshToken: ended.refresh_token });
      await eventuallyJudges(verifier, ended.access_token, 'access_token_revoked', BOUND_MS);
    }
    const elapsedMs = performance.now() - startedAtMs;
    const questions = balancer.asked.filter((path) => path.startsWith('/auth/revocations')).length;
    verifier.close();
    await balancer.stop();
    expect(questions).toBeLessThanOrEqual(elapsedMs / 100 + 2);
  });

  it('misses nothing when the instance it follows is replaced in the middle', async () => {
    const first = await startService(database);
    const balancer = new LoadBalancer([first.url]);
    const verifier = await verifierFor(await balancer.start());
    const { pair: early } = await near.client.signUpAndIn();
    const { pair: late } = await near.client.signUpAndIn();
    const { pair: lasting } = await near.client.signUpAndIn();

    balancer.targets = [];
    await Promise.all([first.stop(), near.client.logout({ refreshToken: early.refresh_token })]);
    const second = await startService(database);
    balancer.targets = [second.url];
    await near.client.logout({ refreshToken: late.refresh_token });
    for (const { access_token } of [early, late]) {
      await eventuallyJudges(verifier, access_token, 'access_token_revoked', 3 * BOUND_MS);
    }
    expect(await judge(verifier, lasting.access_token)).toBe('good');
    verifier.close();
    await balancer.stop();
    await second.stop();
  });
});

describe('a verifier that loses the service', () => {
  const { database, service } = useService();
  let balancer: LoadBalancer;
  let url: string;

  beforeEach(async () => {
    balancer = new LoadBalancer([service.url]);
    url = await balancer.start();
  });

  afterEach(async () => {
    await balancer.stop();
  });

  it('goes on until its bound, rejects from then on, and recovers without a restart', async () => {
    const verifier = await verifierFor(url, { maxStalenessSeconds: 2 });
    const { pair } = await service.client.signUpAndIn();
    const { pair: ended } = await service.client.signUpAndIn();
    loseService();
    // Its news may be old already when the service is lost, by up to the pause between two polls.
    const readAtMs = performance.now() - (verifier.state().revocations?.ageSeconds ?? NaN) * 1_000;
    await service.client.logout({ refreshToken: ended.refresh_token });
    expect(await judge(verifier, pair.access_token)).toBe('good');
    await eventuallyJudges(verifier, pair.access_token, 'temporarily_unavailable', 4_000);
    const heldForMs = performance.now() - readAtMs;
    expect(heldForMs).toBeGreaterThan(1_990);
    expect(heldForMs).toBeLessThan(3_500);
    expect(verifier.state().revocations?.isStale).toBe(true);

    balancer.targets = [service.url];
    await eventuallyJudges(verifier, pair.access_token, 'good', 5_000);
    expect(await judge(verifier, ended.access_token)).toBe('access_token_revoked');
    const states = events.map(({ event }) => event).filter((event) => event !== 'access_token_refused');
    expect(states).toEqual(['keys_changed', 'revocations_lost', 'revocations_restored']);
  });

  it('goes on for as long as it takes where that was chosen, and still refuses what it knows to have ended', async () => {
    const verifier = await verifierFor(url, { maxStalenessSeconds: 2, whenFeedIsStale: 'accept' });
    const { pair } = await service.client.signUpAndIn();
    const { pair: ended } = await service.client.signUpAndIn();
    await service.client.logout({ refreshToken: ended.refresh_token });
    await eventuallyJudges(verifier, ended.access_token, 'access_token_revoked', BOUND_MS);
    loseService();
    await eventually(() => verifier.state().revocations?.isStale === true, { withinMs: 4_000 });
    expect(await judge(verifier, pair.access_token)).toBe('good');
    expect(await judge(verifier, ended.access_token)).toBe('access_token_revoked');
  });

  it('is not ready, and says so, while there is no service', async () => {
    loseService();
    const verifier = createVerifier({
      issuer: ISSUER,
      audience: AUDIENCE,
      baseUrl: url,
      revocations: 'follow',
      whenFeedIsStale: 'reject',
    });
    verifiers.push(verifier);
    await expect(verifier.ready({ withinSeconds: 0.2 })).rejects.toMatchObject({ code: 'temporarily_unavailable' });
    const { pair } = await service.client.signUpAndIn();
    expect(await judge(verifier, pair.access_token)).toBe('temporarily_unavailable');
    balancer.targets = [service.url];
    await verifier.ready({ withinSeconds: 5 });
    expect(await judge(verifier, pair.access_token)).toBe('good');
  });

  it('treats an instance that has lost its database as lost', async () => {
    const proxy = await PostgresProxy.start(database.url);
    const cutOff = await startService(proxy, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
    const verifier = await verifierFor(cutOff.url, { maxStalenessSeconds: 2 });
    const { pair } = await service.client.signUpAndIn();
    expect(await judge(verifier, pair.access_token)).toBe('good');
    proxy.freeze();
    await eventuallyJudges(verifier, pair.access_token, 'temporarily_unavailable', 5_000);
    await proxy.resume();
    await eventuallyJudges(verifier, pair.access_token, 'good', 8_000);
    verifier.close();
    await cutOff.stop();
    await proxy.close();
  });

  function loseService(): void {
    balancer.targets = [];
    balancer.dropConnections();
  }
});

describe('the feed that verifiers follow', () => {
  const { service } = useService();

  it('holds an answer back for as long as it is asked to, and tells how long that was', async () => {
    const { cursor } = await page('');
    const atOnce = await page(`?after=${cursor}&wait=0`);
    expect(atOnce).toMatchObject({ revoked: [], waited_seconds: expect.any(Number) });
    expect(atOnce.waited_seconds).toBeLessThan(0.5);
    const held = await page(`?after=${cursor}&wait=1`);
    expect(held.waited_seconds).toBeGreaterThanOrEqual(0.9);
    expect(held.waited_seconds).toBeLessThan(2);

    const waiting = page(`?after=${cursor}&wait=5`);
    const { pair } = await service.client.signUpAndIn();
    await service.client.logout({ refreshToken: pair.refresh_token });
    expect((await waiting).revoked).toEqual([sessionIdOf(pair)]);
  });

  it.each(['-1', '1.5', '1e1', 'x', '', '999', '1&wait=2'])('refuses to wait %j', async (wait) => {
    expect((await service.client.get(`/auth/revocations?wait=${wait}`)).status).toBe(400);
  });

  async function page(query: string): Promise<{ revoked: string[]; cursor: string; waited_seconds: number }> {
    const response = await service.client.get(`/auth/revocations${query}`);
    expect(response.status).toBe(200);
    return response.body as { revoked: string[]; cursor: string; waited_seconds: number };
  }
});
