import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import request from 'supertest';
import { KeyLifeCycleService } from '../src/keys/key-life-cycle.service.js';
import { SigningKeyAlteredError, SigningKeyUnreadableError } from '../src/keys/keys.errors.js';
import { generateSigningKey } from '../src/keys/signing-key.generator.js';
import { eventually } from './support/eventually.js';
import { kidIn, Load } from './support/load.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { ageKeys, kidOf, readKeyRows, reloadAll, tickAll } from './support/signing-keys.js';
import { claimsOf } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { compact, ecdsa } from './support/token-forge.js';
import { expectUnavailable } from './support/unavailable.js';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
const OTHER_SECRET = 'another-auth-secret-of-the-tests-Hn5vC1xJ7gD2sF9q';

describe('the signing keys of a running service', () => {
  let database: TestDatabase;
  const services: TestService[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await database.close();
  });

  async function boot(
    environment: Readonly<Record<string, string>> = {},
    { url }: Pick<TestDatabase, 'url'> = database,
  ): Promise<TestService> {
    const service = await startService({ url }, environment);
    services.push(service);
    return service;
  }

  async function bootThree(): Promise<TestService[]> {
    return [await boot(), await boot(), await boot()];
  }

  /**
   * Reads the logs of all instances: Nest has one log per process, which is that of the instance that was made last.
   */
  function linesOf(event: string): Record<string, unknown>[] {
    return services.flatMap(({ logs }) => logs).filter((line) => line['event'] === event);
  }

  function eventCount(event: string): number {
    return linesOf(event).length;
  }

  async function publishedKids(service: TestService): Promise<string[]> {
    const { body } = (await service.client.get('/.well-known/jwks.json')) as { body: unknown };
    return (body as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
  }

  it('rotate under load with no good token refused on any instance, and every step is done by one of them', async () => {
    const three = await bootThree();
    const first = await kidOf(database, 'active');
    const load = new Load(three.map(({ client }) => client));
    for (let user = 0; user < 4; user += 1) {
      await load.add();
    }
    await load.goesOn(3);

    await ageKeys(database, 90 * DAY_SECONDS);
    await tickAll(three);
    const second = await kidOf(database, 'next');
    expect([eventCount('signing_key_published'), eventCount('signing_key_activated')]).toEqual([2, 1]);
    await load.goesOn(3);
    await reloadAll(three);
    await load.goesOn(3);
    expect([...load.kids]).toEqual([first]);

    // Published for long enough now; the instances that do not let it sign learn of it later than the one that does.
    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll(three);
    expect([eventCount('signing_key_published'), eventCount('signing_key_activated')]).toEqual([2, 2]);
    expect([await kidOf(database, 'retiring'), await kidOf(database, 'active')]).toEqual([first, second]);
    await load.goesOn(5);
    await reloadAll(three);
    await load.goesOn(2);
    expect([...load.kids].sort()).toEqual([first, second].sort());

    await ageKeys(database, DAY_SECONDS + HOUR_SECONDS + 20);
    await tickAll(three);
    expect(eventCount('signing_key_removed')).toBe(1);
    await load.goesOn(2);
    await reloadAll(three);
    await load.goesOn(3);
    await load.stop();

    expect(load.failures).toEqual([]);
    expect(await readKeyRows(database)).toEqual([{ kid: second, algorithm: 'ES256', status: 'active' }]);
    expect(await Promise.all(three.map(publishedKids))).toEqual([[second], [second], [second]]);
    expect(eventCount('key_rotation_failed')).toBe(0);
  });

  it('are published with a new entity tag before one of them signs', async () => {
    const service = await boot();
    const jwks = '/.well-known/jwks.json';
    const before = await service.client.get(jwks);
    await ageKeys(database, 90 * DAY_SECONDS);
    await tickAll([service]);
    const conditional = await request(service.url).get(jwks).set('if-none-match', String(before.headers['etag']));
    expect(conditional.status).toBe(200);
    expect(conditional.headers['etag']).not.toBe(before.headers['etag']);
    expect(await publishedKids(service)).toEqual([await kidOf(database, 'active'), await kidOf(database, 'next')]);
    const { pair } = await service.client.signUpAndIn();
    expect(kidIn(pair.access_token)).toBe(await kidOf(database, 'active'));
  });

  it('change their algorithm by the same way: the new one is published, signs later, and the old one verifies on', async () => {
    const old = await boot();
    const { pair: before, ...account } = await old.client.signUpAndIn();
    const young = await boot({ JWT_ALGORITHM: 'RS256' });
    const ec = await kidOf(database, 'active');
    const rsa = await kidOf(database, 'next');
    await reloadAll([old]);
    for (const service of [old, young]) {
      const { keys } = (await service.client.get('/.well-known/jwks.json')).body as { keys: object[] };
      expect(keys).toEqual([
        { kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String), alg: 'ES256', use: 'sig', kid: ec },
        { kty: 'RSA', n: expect.any(String), e: 'AQAB', alg: 'RS256', use: 'sig', kid: rsa },
      ]);
      const discovery = await service.client.get('/.well-known/openid-configuration');
      expect(discovery.body).toMatchObject({ id_token_signing_alg_values_supported: ['ES256', 'RS256'] });
      // No instance mixes: the active key signs, whatever an instance is configured for.
      expect(kidIn((await service.client.signIn(account)).access_token)).toBe(ec);
    }

    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll([old]);
    await reloadAll([young]);
    for (const service of [old, young]) {
      const { access_token: token } = await service.client.signIn(account);
      expect(kidIn(token)).toBe(rsa);
      for (const verifier of [old, young]) {
        expect((await verifier.client.me(token)).status).toBe(200);
        expect((await verifier.client.me(before.access_token)).status).toBe(200);
      }
    }

    // The older instance wants ES256, and does not fight the younger one for it.
    await tickAll([old, young]);
    await ageKeys(database, DAY_SECONDS + HOUR_SECONDS + 20);
    await tickAll([old, young]);
    expect(await readKeyRows(database)).toEqual([{ kid: rsa, algorithm: 'RS256', status: 'active' }]);
    await reloadAll([old]);
    const discovery = await old.client.get('/.well-known/openid-configuration');
    expect(discovery.body).toMatchObject({ id_token_signing_alg_values_supported: ['RS256'] });
  });

  it('forget a change of algorithm that is taken back before it has come into force', async () => {
    const original = await boot();
    const mistaken = await boot({ JWT_ALGORITHM: 'RS256' });
    const rsa = await kidOf(database, 'next');
    const corrected = await boot();
    expect(await kidOf(database, 'retiring')).toBe(rsa);
    await tickAll([original, mistaken, corrected]);
    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll([original, mistaken, corrected]);
    expect((await readKeyRows(database)).map(({ algorithm, status }) => [algorithm, status])).toEqual([
      ['ES256', 'active'],
      ['RS256', 'retiring'],
    ]);
    expect(eventCount('signing_key_withdrawn')).toBe(1);
  });

  it('are never more than ten, and wait for the first removal', async () => {
    const service = await boot();
    const lifeCycle = service.app.get(KeyLifeCycleService);
    for (let count = 1; count < 10; count += 1) {
      const rotation = await lifeCycle.rotate();
      expect(rotation.kind).toBe('published');
      expect(await lifeCycle.rotateEarly()).toMatchObject({ kind: 'scheduled' });
      await ageKeys(database, 21);
      await tickAll([service]);
    }
    expect(await lifeCycle.rotate()).toEqual({ kind: 'full', roomFrom: expect.any(Date) });
    expect(await lifeCycle.rotateEarly()).toEqual({ kind: 'full', roomFrom: expect.any(Date) });
    await database.sql(`update signing_keys set activated_at = now() - interval '100 days' where status = 'active'`);
    await tickAll([service]);
    await reloadAll([service]);
    expect(await publishedKids(service)).toHaveLength(10);

    await ageKeys(database, DAY_SECONDS + HOUR_SECONDS + 20);
    await tickAll([service]);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['active', 'next']);
  });

  it('rotate when a database that was away comes back, without a restart', async () => {
    const proxy = await PostgresProxy.start(database.url);
    const service = await boot({}, proxy);
    const { pair, ...account } = await service.client.signUpAndIn();
    await ageKeys(database, 90 * DAY_SECONDS);
    proxy.refuse();
    await tickAll([service]);
    expect(linesOf('key_rotation_failed')).toMatchObject([{ level: 'warn' }]);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['active']);
    expect((await service.client.get('/.well-known/jwks.json')).status).toBe(200);

    await proxy.resume();
    await eventually(async () => (await service.client.get('/health/ready')).status === 200, { withinMs: 5_000 });
    await tickAll([service]);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['active', 'next']);
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    await service.client.signIn(account);
    await service.stop();
    services.pop();
    await proxy.close();
  });

  it('stay as they are when the connection dies in the middle of a change', async () => {
    const proxy = await PostgresProxy.start(database.url);
    const service = await boot({}, proxy);
    await ageKeys(database, 90 * DAY_SECONDS);
    await tickAll([service]);
    await ageKeys(database, DAY_SECONDS + 20);
    const before = await readKeyRows(database);
    proxy.cutNext(/set status = 'active'/, 'before');
    await tickAll([service]);
    expect(proxy.cuts).toBe(1);
    expect(await readKeyRows(database)).toEqual(before);
    await tickAll([service]);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['retiring', 'active']);
    await service.stop();
    services.pop();
    await proxy.close();
  });

  it('are not used by an instance that cannot decrypt them, and make its next start fail', async () => {
    const old = await boot();
    const { pair, ...account } = await old.client.signUpAndIn();
    const readable = await kidOf(database, 'active');
    const young = await boot({ AUTH_SECRET: OTHER_SECRET, AUTH_SECRET_ACCEPTED: AUTH_SECRET });
    await young.app.get(KeyLifeCycleService).rotate();
    const unreadable = await kidOf(database, 'next');
    await reloadAll([old, old, young]);
    expect(linesOf('signing_key_untrusted')).toMatchObject([
      { level: 'error', kid: unreadable, msg: expect.stringContaining('AUTH_SECRET_ACCEPTED') },
    ]);
    expect(await publishedKids(old)).toEqual([readable]);

    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll([young]);
    await reloadAll([old]);
    const { access_token: theirs } = await young.client.signIn(account);
    const { access_token: ours } = await old.client.signIn(account);
    expect([kidIn(theirs), kidIn(ours)]).toEqual([unreadable, readable]);
    expectProblem(await old.client.me(theirs), 'access_token_invalid');
    expect((await young.client.me(theirs)).status).toBe(200);
    for (const instance of [old, young]) {
      expect((await instance.client.me(ours)).status).toBe(200);
    }

    // What the old key signed from here on could outlive it.
    await ageKeys(database, DAY_SECONDS);
    await reloadAll([old]);
    expect((await old.client.get('/health/ready')).status).toBe(503);
    const generations = 'select id, generation from refresh_token_families order by id';
    const before = await database.sql(generations);
    expectUnavailable(await old.client.refresh(pair.refresh_token), 'temporarily_unavailable');
    expectUnavailable(
      await old.client.login({ email: account.email, password: account.password }),
      'temporarily_unavailable',
    );
    expect(await database.sql(generations)).toEqual(before);
    await expect(boot()).rejects.toThrow(SigningKeyUnreadableError);

    const healer = await boot({ AUTH_SECRET_ACCEPTED: OTHER_SECRET });
    await healer.app.get(KeyLifeCycleService).reencrypt();
    await reloadAll([old]);
    expect((await old.client.get('/health/ready')).status).toBe(200);
    expect((await old.client.me(theirs)).status).toBe(200);
    expect(kidIn((await old.client.rotate(pair.refresh_token)).access_token)).toBe(unreadable);
  });

  it('are neither trusted nor published if they were written into the table without AUTH_SECRET', async () => {
    const service = await boot();
    const { pair } = await service.client.signUpAndIn();
    const real = await kidOf(database, 'active');
    const { kid, publicJwk, privateKey } = await generateSigningKey('ES256');
    await database.sql(
      `insert into signing_keys (kid, public_jwk, algorithm, status, private_key_encrypted, encryption_key_id, retiring_at)
       select $1, $2, algorithm, 'retiring', private_key_encrypted, encryption_key_id, now() from signing_keys
       where kid = $3`,
      [kid, JSON.stringify(publicJwk), real],
    );
    const forged = compact(headerFor(kid), claimsOf(pair.access_token), ecdsa(privateKey));
    await reloadAll([service]);
    expectProblem(await service.client.me(forged), 'access_token_invalid');
    expect(await publishedKids(service)).toEqual([real]);
    await expect(boot()).rejects.toThrow(SigningKeyUnreadableError);
    await database.sql('delete from signing_keys where kid = $1', [kid]);

    // The real key's row, with another public half.
    await database.sql('update signing_keys set public_jwk = $1 where kid = $2', [JSON.stringify(publicJwk), real]);
    await reloadAll([service]);
    const masked = compact(headerFor(real), claimsOf(pair.access_token), ecdsa(privateKey));
    expectProblem(await service.client.me(masked), 'access_token_invalid');
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    await expect(boot()).rejects.toThrow(SigningKeyAlteredError);
  });
});

function headerFor(kid: string): object {
  return { alg: 'ES256', typ: 'at+jwt', kid };
}
