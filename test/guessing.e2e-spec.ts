import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { OverloadedError } from '../src/platform/common/domain.errors.js';
import { PasswordHasherService } from '../src/users/password-hasher.service.js';
import { eventually } from './support/eventually.js';
import { FakeFactor, RIGHT_CODE, WRONG_CODE } from './support/fake-factor.js';
import { expectProblem } from './support/problem.js';
import { isRedisInstalled, RedisServer } from './support/redis-server.js';
import { type Account, codeOf, newEmail, newPassword } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

const LIMIT = 10;
const LONGEST_DELAY_SECONDS = 900;

/** The tests stand in front of the service as its proxy and say where a client is. */
const BEHIND_A_PROXY = { RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' };

let lastHost = 0;

/** An address that no other test has used. */
function newAddress(): string {
  lastHost += 1;
  return `198.51.${lastHost >> 8}.${lastHost & 255}`;
}

function loginFrom(service: TestService, address: string, email: string, password: string): Promise<Response> {
  return service.client.post('/auth/login', { email, password }, { 'x-forwarded-for': address });
}

/** Counts what reaches the hasher of an instance, and can make it fail. */
function watchHasher(service: TestService): { verifications: number; failure: Error | undefined } {
  const hasher = service.app.get(PasswordHasherService, { strict: false });
  const watch: { verifications: number; failure: Error | undefined } = { verifications: 0, failure: undefined };
  const verify = hasher.verify.bind(hasher);
  hasher.verify = (passwordHash, password, applicant): Promise<boolean> => {
    watch.verifications += 1;
    return watch.failure === undefined ? verify(passwordHash, password, applicant) : Promise.reject(watch.failure);
  };
  return watch;
}

function expectTooMany(response: Response): number {
  expectProblem(response, 'too_many_attempts');
  const retryAfterSeconds = Number(response.headers['retry-after']);
  expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
  expect(retryAfterSeconds).toBeLessThanOrEqual(LONGEST_DELAY_SECONDS);
  return retryAfterSeconds;
}

if (!isRedisInstalled) {
  process.stderr.write('\nredis-server is not installed: the limits are tested on PostgreSQL only\n\n');
}

describe.each([['PostgreSQL'], ...(isRedisInstalled ? [['Redis']] : [])])('guessing, counted in %s', (store) => {
  let redis: RedisServer | undefined;

  beforeAll(async () => {
    redis = store === 'Redis' ? await RedisServer.start() : undefined;
  });

  afterAll(() => redis?.stop());

  const database = useDatabase();
  const environment = (): Record<string, string> => ({
    ...BEHIND_A_PROXY,
    SECOND_FACTORS: 'on',
    ...(redis !== undefined && { REDIS_URL: redis.url }),
  });
  const service = useInstance(database, environment);
  const instances = [service, useInstance(database, environment), useInstance(database, environment)];

  beforeAll(async () => {
    await eventually(
      async () => {
        const answers = instances.map((each) => loginFrom(each, newAddress(), newEmail(), newPassword()));
        return (await Promise.all(answers)).every(({ status }) => status === 401);
      },
      { withinMs: 10_000 },
    );
  });

  async function newAccount(): Promise<{ readonly email: string; readonly password: string }> {
    const account = { email: newEmail(), password: newPassword() };
    const response = await service.client.post('/auth/register', account, { 'x-forwarded-for': newAddress() });
    expect(response.status).toBe(201);
    return account;
  }

  async function guess(email: string, times: number): Promise<string[]> {
    const codes: string[] = [];
    for (let attempt = 1; attempt <= times; attempt += 1) {
      codes.push(codeOf(await loginFrom(service, newAddress(), email, newPassword())));
    }
    return codes;
  }

  it.each([
    ['an account', true],
    ['an e-mail without an account', false],
  ])('200 parallel guesses at %s reach the hasher ten times, over three instances', async (_what, exists) => {
    const { email } = exists ? await newAccount() : { email: newEmail() };
    const hashers = instances.map(watchHasher);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => loginFrom(instances[index % 3]!, newAddress(), email, newPassword())),
    );
    expect(hashers.reduce((sum, { verifications }) => sum + verifications, 0)).toBe(LIMIT);
    const [refused, limited] = [401, 429].map((status) => answers.filter((answer) => answer.status === status));
    expect([refused!.length, limited!.length]).toEqual([LIMIT, 200 - LIMIT]);
    refused!.forEach((answer) => {
      expectProblem(answer, 'invalid_credentials');
    });
    limited!.forEach(expectTooMany);
  });

  it('a right password forgets the wrong ones before it', async () => {
    const { email, password } = await newAccount();
    for (let round = 1; round <= 3; round += 1) {
      expect(await guess(email, LIMIT - 1)).toEqual(Array(LIMIT - 1).fill('invalid_credentials'));
      expect((await loginFrom(service, newAddress(), email, password)).status).toBe(200);
    }
  });

  it('an attempt that was not judged does not count', async () => {
    const { email, password } = await newAccount();
    const hasher = watchHasher(service);
    hasher.failure = new OverloadedError();
    expect(await guess(email, LIMIT + 2)).toEqual(Array(LIMIT + 2).fill('overloaded'));
    hasher.failure = undefined;
    expect((await loginFrom(service, newAddress(), email, password)).status).toBe(200);
  });

  it('are counted together for an account, in any spelling of its e-mail', async () => {
    const { email, password } = await newAccount();
    await guess(email, 5);
    await guess(email.toUpperCase().replace('EXAMPLE.COM', 'Example.com'), 5);
    const hasher = watchHasher(service);
    expectTooMany(await loginFrom(service, newAddress(), email, password));
    expect(hasher.verifications).toBe(0);
  });

  it('elsewhere keep an owner neither from a login where the account has signed in, nor from a new password', async () => {
    const { email, password } = await newAccount();
    const home = newAddress();
    const login = await loginFrom(service, home, email, password);
    const { access_token } = login.body as { access_token: string };
    await guess(email, LIMIT + 2);
    expectTooMany(await loginFrom(service, newAddress(), email, password));
    for (let attempt = 1; attempt <= LIMIT - 1; attempt += 1) {
      expectProblem(await loginFrom(service, home, email, newPassword()), 'invalid_credentials');
    }
    expect((await loginFrom(service, home, email, password)).status).toBe(200);
    // The attack goes on: a right password at home does not end the delay for the places that caused it.
    expectTooMany(await loginFrom(service, newAddress(), email, password));
    const change = (current: string): Promise<Response> =>
      service.client.post(
        '/auth/password',
        { current_password: current, new_password: newPassword() },
        { 'x-forwarded-for': newAddress(), authorization: `Bearer ${access_token}` },
      );
    for (let attempt = 1; attempt <= LIMIT - 1; attempt += 1) {
      expectProblem(await change(newPassword()), 'invalid_credentials');
    }
    expect((await change(password)).status).toBe(200);
  });

  it('at home and in an open session have a limit of their own', async () => {
    const { email, password } = await newAccount();
    const home = newAddress();
    const login = await loginFrom(service, home, email, password);
    const { access_token } = login.body as { access_token: string };
    await guess(email, LIMIT + 1);
    const atHome = Array.from({ length: 2 * LIMIT }, () => loginFrom(service, home, email, newPassword()));
    const codes = (await Promise.all(atHome)).map(codeOf);
    expect(codes.filter((code) => code === 'invalid_credentials')).toHaveLength(LIMIT);
    expectTooMany(await loginFrom(service, home, email, password));
    const changes = Array.from({ length: 2 * LIMIT }, () =>
      service.client.post(
        '/auth/password',
        { current_password: newPassword(), new_password: newPassword() },
        { 'x-forwarded-for': newAddress(), authorization: `Bearer ${access_token}` },
      ),
    );
    const changeCodes = (await Promise.all(changes)).map(codeOf);
    expect(changeCodes.filter((code) => code === 'invalid_credentials')).toHaveLength(LIMIT);
  });

  it('that are right and come at once leave nothing behind, and those refused learn when these are judged', async () => {
    const accounts = await Promise.all([newAccount(), newAccount(), newAccount()]);
    const address = newAddress();
    const logIn = ({ email, password }: (typeof accounts)[number]): Promise<Response> =>
      loginFrom(service, address, email, password);
    const answers = await Promise.all(accounts.flatMap((account) => Array.from({ length: 40 }, () => logIn(account))));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeLessThan(90);
    refused.forEach((answer) => {
      expect(expectTooMany(answer)).toBeLessThanOrEqual(2);
    });
    for (const account of accounts) {
      expect((await logIn(account)).status).toBe(200);
    }
  });

  it('that are right are limited as well: 100 an hour for an account', async () => {
    const { email, password } = await newAccount();
    const statuses: number[] = [];
    for (let batch = 1; batch <= 13; batch += 1) {
      const answers = Array.from({ length: 8 }, () => loginFrom(service, newAddress(), email, password));
      statuses.push(...(await Promise.all(answers)).map(({ status }) => status));
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(100);
    const refused = await loginFrom(service, newAddress(), email, password);
    expectProblem(refused, 'too_many_attempts');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3_000);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(3_600);
  });

  it('another account of the same person is not affected', async () => {
    const [attacked, other] = [await newAccount(), await newAccount()];
    await guess(attacked.email, LIMIT + 1);
    expect((await loginFrom(service, newAddress(), other.email, other.password)).status).toBe(200);
  });

  it('one network has 100 wrong passwords, on whatever accounts; a right one counts a tenth of that, and clears nothing', async () => {
    const address = newAddress();
    const own = await newAccount();
    const wrong = (): Promise<Response> => loginFrom(instances[1]!, address, newEmail(), newPassword());
    expect(new Set((await Promise.all(Array.from({ length: 98 }, wrong))).map(codeOf))).toEqual(
      new Set(['invalid_credentials']),
    );
    expect((await loginFrom(service, address, own.email, own.password)).status).toBe(200);
    expectProblem(await wrong(), 'invalid_credentials');
    expectTooMany(await wrong());
    expectTooMany(await loginFrom(service, address, own.email, own.password));
    expect((await loginFrom(service, newAddress(), own.email, own.password)).status).toBe(200);
  });

  it('many /64 of one /48 have four times the limit of one', async () => {
    const wrong = (index: number): Promise<Response> =>
      loginFrom(service, `2001:db8:2:${index.toString(16)}00::1`, newEmail(), newPassword());
    const codes: string[] = [];
    for (let batch = 0; batch < 9; batch += 1) {
      const attempts = Array.from({ length: 50 }, (_, index) => wrong(batch * 5 + (index % 5)));
      codes.push(...(await Promise.all(attempts)).map(codeOf));
    }
    expect(codes.filter((code) => code === 'invalid_credentials')).toHaveLength(400);
    expectTooMany(await wrong(200));
  });

  it('the IPv6 addresses of one /64 are one network', async () => {
    const wrong = (address: string): Promise<Response> => loginFrom(service, address, newEmail(), newPassword());
    const addresses = Array.from({ length: 100 }, (_, index) => `2001:db8:0:1::${(index + 1).toString(16)}`);
    await Promise.all(addresses.map(wrong));
    expectTooMany(await wrong('2001:db8:0:1:ffff:ffff:ffff:ffff'));
    expectProblem(await wrong('2001:db8:0:2::1'), 'invalid_credentials');
  });

  it('one network makes 20 accounts and learns 20 times that an e-mail is taken; typing errors do not count', async () => {
    const address = newAddress();
    const register = (body: object): Promise<Response> =>
      instances[2]!.client.post('/auth/register', body, { 'x-forwarded-for': address });
    const taken = await newAccount();
    for (let attempt = 1; attempt <= 25; attempt += 1) {
      expect((await register({ email: 'ada', password: newPassword() })).status).toBe(400);
    }
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      expectProblem(await register({ email: taken.email, password: newPassword() }), 'email_taken');
    }
    const registered = await Promise.all(
      Array.from({ length: 30 }, () => register({ email: newEmail(), password: newPassword() })),
    );
    expect(registered.filter(({ status }) => status === 201)).toHaveLength(15);
    registered.filter(({ status }) => status !== 201).forEach(expectTooMany);
    const elsewhere = { email: newEmail(), password: newPassword() };
    expect((await service.client.post('/auth/register', elsewhere, { 'x-forwarded-for': newAddress() })).status).toBe(
      201,
    );
  });

  describe('second factors', () => {
    let factor: FakeFactor;

    beforeAll(() => {
      factor = new FakeFactor(...instances);
    });

    async function signUp(): Promise<Account> {
      const credentials = { email: newEmail(), password: newPassword() };
      const { body } = await service.client.post('/auth/register', credentials, { 'x-forwarded-for': newAddress() });
      const account = { ...credentials, id: (body as { id: string }).id };
      await factor.give(database, account);
      return account;
    }

    async function begin({ email, password }: Account): Promise<string> {
      const { body } = await loginFrom(service, newAddress(), email, password);
      return (body as { ticket: string }).ticket;
    }

    const prove = (ticket: string, totp: string, address = newAddress(), at = service): Promise<Response> =>
      at.client.post('/auth/login/second-factor', { ticket, totp }, { 'x-forwarded-for': address });

    it('are checked 5 times of 200 at once, with many tickets and over three instances', async () => {
      const account = await signUp();
      const tickets: string[] = [];
      for (let count = 0; count < 20; count += 1) {
        tickets.push(await begin(account));
      }
      factor.judged = 0;
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          prove(tickets[index % 20]!, WRONG_CODE, newAddress(), instances[index % 3]),
        ),
      );
      expect(answers.filter((answer) => codeOf(answer) === 'second_factor_invalid')).toHaveLength(5);
      expect(answers.filter((answer) => codeOf(answer) === 'too_many_attempts')).toHaveLength(195);
      expect(factor.judged).toBe(5);
    });

    it('stay limited after a right password, and are free again after a right factor', async () => {
      const account = await signUp();
      const wrong = async (): Promise<string> => codeOf(await prove(await begin(account), WRONG_CODE));
      for (let count = 0; count < 4; count += 1) {
        expect(await wrong()).toBe('second_factor_invalid');
      }
      expect((await prove(await begin(account), RIGHT_CODE)).status).toBe(200);
      for (let count = 0; count < 5; count += 1) {
        expect(await wrong()).toBe('second_factor_invalid');
      }
      const refused = await prove(await begin(account), RIGHT_CODE);
      expect(expectTooMany(refused)).toBe(30);
    });

    it('count for nothing with a ticket that is dead', async () => {
      const account = await signUp();
      const dead = await begin(account);
      expect((await prove(dead, RIGHT_CODE)).status).toBe(200);
      for (let count = 0; count < 6; count += 1) {
        expectProblem(await prove(dead, WRONG_CODE), 'ticket_invalid');
      }
      expect((await prove(await begin(account), RIGHT_CODE)).status).toBe(200);
    });

    it('that are wrong are a hundred by a network in 15 minutes', async () => {
      const address = newAddress();
      for (let user = 0; user < 25; user += 1) {
        const ticket = await begin(await signUp());
        const answers = await Promise.all(Array.from({ length: 4 }, () => prove(ticket, WRONG_CODE, address)));
        expect(answers.map(codeOf)).toEqual(Array<string>(4).fill('second_factor_invalid'));
      }
      const ticket = await begin(await signUp());
      expect(expectTooMany(await prove(ticket, RIGHT_CODE, address))).toBeGreaterThan(800);
      expect((await prove(ticket, RIGHT_CODE)).status).toBe(200);
    });
  });
});
