import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { JwtService } from '@nestjs/jwt';
import { type FakeIssuer, fakeIssuer, type TokenOptions } from '@ratchet/testing';
import { createVerifier, type Verifier } from '@ratchet/verifier';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import jwksClient from 'jwks-rsa';
import { UsersService } from '../src/users/users.service.js';
import { DEBIAN_PYTHON, hasPythonModules } from './support/debian-python.js';
import { makeScratchFolder } from './support/gateway-process.js';
import { runCommand } from './support/run-command.js';
import { claimsOf, sessionIdOf } from './support/test-client.js';
import { headerOf } from './support/token-forge.js';
import { useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));

describe('fakeIssuer()', () => {
  let issuer: FakeIssuer;
  const verifiers: Verifier[] = [];

  beforeAll(async () => {
    issuer = await fakeIssuer();
  });

  afterEach(() => {
    verifiers.splice(0).forEach((verifier) => {
      verifier.close();
    });
  });

  afterAll(() => issuer.stop());

  async function newVerifier(): Promise<Verifier> {
    const verifier = createVerifier({
      issuer: issuer.issuer,
      audience: issuer.audience,
      revocations: 'follow',
      whenFeedIsStale: 'reject',
    });
    verifiers.push(verifier);
    await verifier.ready();
    return verifier;
  }

  async function judge(verifier: Verifier, token: string): Promise<string> {
    return verifier.verify(token).then(
      () => 'good',
      (error: unknown) => (error as { code: string }).code,
    );
  }

  it('makes tokens that @ratchet/verifier reads', async () => {
    const verifier = await newVerifier();
    const { accessToken, claims } = await issuer.token({ roles: ['admin', 'support'] });
    expect(await verifier.verify(accessToken)).toEqual({
      userId: claims.sub,
      sessionId: claims.sid,
      tokenId: claims.jti,
      roles: ['admin', 'support'],
      scope: 'admin support',
      clientId: 'ratchet',
      issuedAt: new Date(claims.iat * 1000),
      expiresAt: new Date((claims.iat + 300) * 1000),
      acr: 'aal1',
      amr: ['pwd'],
      authenticatedAt: new Date(claims.iat * 1000),
    });
  });

  it('makes tokens that jose accepts', async () => {
    const { accessToken, claims } = await issuer.token();
    const keys = createRemoteJWKSet(new URL(issuer.jwksUrl));
    const demands = { issuer: issuer.issuer, audience: issuer.audience, typ: 'at+jwt', algorithms: ['ES256'] };
    expect((await jwtVerify(accessToken, keys, demands)).payload).toEqual(claims);
  });

  it('makes tokens that jsonwebtoken with jwks-rsa accepts', async () => {
    const { accessToken, claims } = await issuer.token();
    const key = await jwksClient({ jwksUri: issuer.jwksUrl }).getSigningKey(String(headerOf(accessToken)['kid']));
    const demands = { issuer: issuer.issuer, audience: issuer.audience, algorithms: ['ES256' as const] };
    const verified: unknown = new JwtService().verify(accessToken, { publicKey: key.getPublicKey(), ...demands });
    expect(verified).toEqual(claims);
  });

  (hasPythonModules('jwt', 'cryptography') ? it : it.skip)(
    'makes tokens that PyJWT accepts, with its feed followed by the reader of our documents',
    async () => {
      const good = await issuer.token({ roles: ['admin'] });
      const ended = await issuer.token({ session: 'ended' });
      const script = `
import sys, time
from ratchet_verifier import InvalidToken, Unavailable, Verifier
base, good, ended = sys.argv[1:]
verifier = Verifier(issuer=base, audience="ratchet")
while True:
    try:
        print(verifier.verify(good)["roles"])
        break
    except Unavailable:
        time.sleep(0.02)
try:
    verifier.verify(ended)
except InvalidToken as error:
    print(error)
`;
      const { stdout } = await runCommand(DEBIAN_PYTHON, ['-', issuer.url, good.accessToken, ended.accessToken], {
        workingDirectory: CHECKOUT,
        environment: { PYTHONPATH: join(CHECKOUT, 'examples/verifiers/python'), PYTHONDONTWRITEBYTECODE: '1' },
        input: script,
      });
      expect(stdout).toBe("['admin']\nthe session has ended\n");
    },
  );

  it('says in its keys and answers that it is for tests', async () => {
    const response = await fetch(issuer.jwksUrl);
    expect(response.headers.get('x-ratchet-test')).toBe('1');
    expect(await response.json()).toEqual({
      keys: [expect.objectContaining({ kty: 'EC', alg: 'ES256', use: 'sig', ratchet_test: true })],
    });
  });

  it.each<[string, TokenOptions]>([
    ['access_token_expired', { expired: true }],
    ['access_token_revoked', { session: 'ended' }],
    ['access_token_invalid', { signature: 'broken' }],
    ['access_token_invalid', { signature: 'none' }],
    ['access_token_invalid', { signature: 'unknown-key' }],
    ['access_token_invalid', { typ: 'JWT' }],
    ['access_token_invalid', { kid: 'another' }],
    ['access_token_invalid', { claims: { aud: 'another' } }],
    ['access_token_invalid', { claims: { iss: 'http://localhost:3000' } }],
    ['access_token_invalid', { claims: { sub: 'ada' } }],
    ['access_token_invalid', { omit: ['exp'] }],
    ['access_token_invalid', { omit: ['sid'] }],
  ])('makes a token that is refused as %s with the options %j', async (code, options) => {
    const verifier = await newVerifier();
    const { accessToken } = await issuer.token(options);
    expect(await judge(verifier, accessToken)).toBe(code);
  });

  it('takes a user of another kit by its id', async () => {
    const user = { id: '1ad86469-cbef-47bc-9a9b-aad8f1f47c2b', email: 'ada@example.com' };
    expect((await issuer.token({ user })).claims.sub).toBe(user.id);
    expect((await issuer.token({ user: user.id })).claims.sub).toBe(user.id);
  });

  it.each<[string, object, string]>([
    ['an option that it does not have', { expierd: true }, 'a token has no option expierd'],
    ['a signature of another kind', { signature: 'bad' }, 'signature is one of good, broken, none, unknown-key'],
    ['a session of another kind', { session: 'over' }, 'session is one of live, ended'],
  ])('refuses %s, and names what there is', async (_what, options, message) => {
    await expect(issuer.token(options)).rejects.toThrow(message);
  });

  it('ends a session for every verifier before end() resolves', async () => {
    const three = [await newVerifier(), await newVerifier(), await newVerifier()];
    const { accessToken, claims } = await issuer.token();
    const judgeAll = (): Promise<string[]> => Promise.all(three.map((verifier) => judge(verifier, accessToken)));
    expect(await judgeAll()).toEqual(['good', 'good', 'good']);
    await issuer.end(claims.sid);
    expect(await judgeAll()).toEqual(Array(3).fill('access_token_revoked'));
  });

  it('ends a session although a verifier has gone without a word', async () => {
    (await newVerifier()).close();
    await issuer.end((await issuer.token()).claims.sid);
    const later = await newVerifier();
    expect(await judge(later, (await issuer.token({ session: 'ended' })).accessToken)).toBe('access_token_revoked');
  });

  it.each([
    ['a cursor that is none', '?after=x'],
    ['a cursor of another issuer', '?after=af0b1c2d.0'],
    ['a wait that is no number', '?wait=soon'],
  ])('answers 400 to %s, as the service', async (_what, query) => {
    const response = await fetch(`${issuer.url}/auth/revocations${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'validation_failed', status: 400 });
  });

  it('answers keys and metadata with 304 while a cache has them', async () => {
    for (const path of ['jwks.json', 'oauth-authorization-server', 'openid-configuration']) {
      const url = `${issuer.url}/.well-known/${path}`;
      const etag = (await fetch(url)).headers.get('etag') ?? '';
      expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    }
  });

  it('says what it has when it is asked for more', async () => {
    const response = await fetch(`${issuer.url}/auth/login`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('use startRatchet()') });
    expect((await fetch(`${issuer.url}/auth/revocations`, { method: 'POST' })).status).toBe(405);
  });

  it('uses the issuer, audience and port that it is given, and frees the port', async () => {
    const first = await fakeIssuer({ issuer: 'https://auth.example.com', audience: 'orders' });
    expect((await first.token()).claims).toMatchObject({ iss: 'https://auth.example.com', aud: 'orders' });
    const pending = fetch(`${first.url}/auth/revocations`).then((response) => response.json());
    const { cursor } = (await pending) as { cursor: string };
    const waiting = fetch(`${first.url}/auth/revocations?after=${cursor}`).catch(() => 'cut');
    await first.stop();
    expect(await waiting).toBe('cut');
    const second = await fakeIssuer({ port: Number(new URL(first.url).port) });
    expect(second.url).toBe(first.url);
    await second.stop();
    await second.stop();
  });

  describe('beside the service', () => {
    const { service } = useService();

    it('makes tokens that differ from those of a login in nothing but values', async () => {
      const account = await service.client.signUp();
      for (const roles of [[], ['admin', 'support']]) {
        await service.app.get(UsersService).setRoles(account.id, roles);
        const real = (await service.client.signIn(account)).access_token;
        const { accessToken, claims } = await issuer.token({ roles });
        expect(claims).toEqual(claimsOf(accessToken));
        for (const read of [headerOf, claimsOf]) {
          const [one, other] = [read(accessToken), read(real)] as Record<string, unknown>[];
          expect(Object.keys(one ?? {})).toEqual(Object.keys(other ?? {}));
          expect(Object.values(one ?? {}).map((value) => typeof value)).toEqual(
            Object.values(other ?? {}).map((value) => typeof value),
          );
        }
        expect(claims.exp - claims.iat).toBe(300);
      }
    });

    it('answers its documents and its feed in the form of the service', async () => {
      const { pair } = await service.client.signUpAndIn();
      await service.client.logout({ accessToken: pair.access_token });
      await issuer.end(sessionIdOf(pair));
      for (const path of ['/.well-known/jwks.json', '/auth/revocations?wait=0']) {
        const [one, other] = await Promise.all([fetch(issuer.url + path), fetch(service.url + path)]);
        for (const name of ['content-type', 'cache-control']) {
          if (path.startsWith('/.well-known')) {
            expect(one.headers.get(name)).toBe(other.headers.get(name));
          }
        }
        expect(Object.keys((await one.json()) as object)).toEqual(Object.keys((await other.json()) as object));
      }
    });
  });

  describe('in a program of another team', () => {
    const USE = `
      fakeIssuer().then(async (issuer) => {
        const { accessToken } = await issuer.token({ roles: ['admin'] });
        const { keys } = await (await fetch(issuer.jwksUrl)).json();
        console.log(accessToken.split('.').length, keys.length);
      }, (error) => console.log(error.code, error.message));`;

    it.each([
      ['require', 'main.cjs', `const { fakeIssuer } = require('@ratchet/testing');`],
      ['import', 'main.mjs', `import { fakeIssuer } from '@ratchet/testing';`],
    ])('is loaded by %s, and does not keep the process alive', async (_how, file, load) => {
      expect(await run(file, load)).toMatchObject({ exitCode: 0, stdout: '3 1\n', stderr: '' });
    });

    it('refuses to run in production', async () => {
      const load = `const { fakeIssuer } = require('@ratchet/testing');`;
      expect(await run('main.cjs', load, { NODE_ENV: 'production' })).toMatchObject({
        stdout: expect.stringMatching(/^start_failed fakeIssuer\(\) does not run with NODE_ENV=production/),
      });
    });

    async function run(
      file: string,
      load: string,
      environment: Readonly<Record<string, string>> = {},
    ): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
      const folder = await makeScratchFolder('fake-issuer');
      await mkdir(join(folder, 'node_modules', '@ratchet'), { recursive: true });
      await symlink(join(CHECKOUT, 'packages/testing'), join(folder, 'node_modules/@ratchet/testing'));
      await writeFile(join(folder, file), `${load}${USE}`);
      return runCommand('node', ['--no-experimental-require-module', file], { workingDirectory: folder, environment });
    }
  });
});
