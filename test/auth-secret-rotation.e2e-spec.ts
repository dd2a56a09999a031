import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyCheckout } from './support/checkout-copy.js';
import { beginTotp, confirmTotp } from './support/factors.js';
import { runCommand } from './support/run-command.js';
import { type Account, newIdempotencyKey, pairOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET as OLD, startService, type TestService } from './support/test-service.js';

const NEW = 'auth-secret-to-come-of-the-tests-Rb6Tm2Xc8Vq4Lz0K';

const ALONE = { AUTH_SECRET: OLD };
const FIRST_DEPLOY = { AUTH_SECRET: OLD, AUTH_SECRET_ACCEPTED: NEW };
const SECOND_DEPLOY = { AUTH_SECRET: NEW, AUTH_SECRET_ACCEPTED: OLD };
const WITHOUT_OLD = { AUTH_SECRET: NEW };

/** A refresh whose answer was lost, as its client remembers it. */
interface LostRefresh {
  readonly presented: string;
  readonly idempotencyKey: string;
  readonly answered: string;
}

describe('changing AUTH_SECRET in two deploys', () => {
  let checkout: string;
  let database: TestDatabase;
  const running = new Set<TestService>();

  beforeEach(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-secret-'));
    await copyCheckout(checkout);
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await Promise.all([...running].map((service) => service.stop()));
    running.clear();
    await database.close();
    await rm(checkout, { recursive: true, force: true });
  });

  async function boot(environment: Readonly<Record<string, string>>): Promise<TestService> {
    const service = await startService(database, environment);
    running.add(service);
    return service;
  }

  async function stop(service: TestService): Promise<void> {
    running.delete(service);
    await service.stop();
  }

  function reencrypt(environment: Readonly<Record<string, string>>) {
    return runCommand(process.execPath, ['dist/cli/keys.js', 'reencrypt'], {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', DATABASE_URL: database.url, ...environment },
    });
  }

  /** A refresh on one instance, which is repeated on another one and answered with the same bytes there. */
  async function refreshAndRepeat(on: TestService, repeatedOn: TestService, token: string): Promise<TokenPair> {
    const key = newIdempotencyKey();
    const next = await on.client.rotate(token, key);
    expect((await repeatedOn.client.rotate(token, key)).refresh_token).toBe(next.refresh_token);
    return next;
  }

  async function loseRefresh(on: TestService, token: string): Promise<LostRefresh> {
    const idempotencyKey = newIdempotencyKey();
    const { refresh_token: answered } = await on.client.rotate(token, idempotencyKey);
    return { presented: token, idempotencyKey, answered };
  }

  async function repeat(on: TestService, lost: LostRefresh): Promise<string> {
    const { refresh_token: answered } = pairOf(await on.client.refresh(lost.presented, lost.idempotencyKey));
    expect(answered).toBe(lost.answered);
    return answered;
  }

  /**
   * Whatever one of them mints, the other takes, in both directions, in a new session and in one from the beginning.
   */
  async function expectSideBySide(one: TestService, other: TestService, account: Account, token: string) {
    let current = token;
    for (const [minting, taking] of [
      [one, other],
      [other, one],
    ] as const) {
      const session = await minting.client.signIn(account);
      expect((await taking.client.me(session.access_token)).status).toBe(200);
      const continued = await refreshAndRepeat(taking, minting, session.refresh_token);
      expect((await minting.client.me(continued.access_token)).status).toBe(200);
      current = (await refreshAndRepeat(minting, taking, current)).refresh_token;
      expect((await taking.client.logout({ refreshToken: continued.refresh_token })).status).toBe(204);
    }
    return current;
  }

  it('signs nobody out, with old and new instances side by side at each of them', async () => {
    const alone = await boot(ALONE);
    const account = await alone.client.signUp();
    let { refresh_token: token } = await alone.client.signIn(account);
    const lost = await loseRefresh(alone, (await alone.client.signIn(account)).refresh_token);
    const { access_token: early } = await alone.client.signIn(account);

    const first = await boot(FIRST_DEPLOY);
    token = await expectSideBySide(alone, first, account, token);
    await stop(alone);

    const second = await boot(SECOND_DEPLOY);
    token = await expectSideBySide(first, second, account, token);
    // Minted under the old secret, repeated on an instance that mints under the new one, and the other way round.
    const lostLater = await loseRefresh(second, await repeat(second, lost));
    const kept = await repeat(first, lostLater);
    await stop(first);

    expect(await reencrypt(SECOND_DEPLOY)).toEqual({
      exitCode: 0,
      stdout: 'Re-encrypted 1 of 1 keys; all are under AUTH_SECRET now.\n',
      stderr: '',
    });
    expect((await reencrypt(SECOND_DEPLOY)).stdout).toBe('Re-encrypted 0 of 1 keys; all are under AUTH_SECRET now.\n');

    // By now every session has refreshed under the new secret.
    const last = await boot(WITHOUT_OLD);
    token = await expectSideBySide(second, last, account, token);
    await stop(second);
    for (const each of [token, kept]) {
      const { access_token: fresh } = await last.client.rotate(each);
      expect((await last.client.me(fresh)).status).toBe(200);
    }
    expect((await last.client.me(early)).status).toBe(200);
    expect(await database.sql('select 1 from signing_keys')).toHaveLength(1);
    expect(await database.sql(`select 1 from refresh_token_families where revoke_reason <> 'logout'`)).toEqual([]);
  });

  it('ends with a refusal to start where the keys have not been re-encrypted, and changes none', async () => {
    await stop(await boot(ALONE));
    await stop(await boot(SECOND_DEPLOY));
    const before = await database.sql('select * from signing_keys');
    const refusal = await runCommand(process.execPath, ['dist/main.js'], {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', PORT: '0', DATABASE_URL: database.url, ...WITHOUT_OLD },
    });
    expect(refusal.exitCode).toBe(1);
    expect(refusal.stderr).toMatch(
      /^The signing key [\w-]{43} in the database cannot be decrypted with AUTH_SECRET or any of AUTH_SECRET_ACCEPTED\. Start with the secret it was encrypted under, listed in AUTH_SECRET_ACCEPTED if need be\.\n$/,
    );
    // The command cannot help without the old secret either.
    expect((await reencrypt(WITHOUT_OLD)).exitCode).toBe(1);
    expect(await database.sql('select * from signing_keys')).toEqual(before);
  });

  it('takes authenticator apps along, and tells of those that it cannot read', async () => {
    const factors = { SECOND_FACTORS: 'on' };
    const alone = await boot({ ...ALONE, ...factors });
    const account = await alone.client.signUpAndIn();
    const app = await beginTotp(alone.client, database, account.pair.access_token);
    await stop(alone);
    await stop(await boot({ ...SECOND_DEPLOY, ...factors }));

    expect((await reencrypt(SECOND_DEPLOY)).stdout).toBe(
      'Re-encrypted 1 of 1 keys and 1 of 1 authenticator apps; all are under AUTH_SECRET now.\n',
    );
    expect((await reencrypt(WITHOUT_OLD)).stdout).toBe(
      'Re-encrypted 0 of 1 keys and 0 of 1 authenticator apps; all are under AUTH_SECRET now.\n',
    );
    const last = await boot({ ...WITHOUT_OLD, ...factors });
    expect((await confirmTotp(last.client, account.pair.access_token, await app.code())).status).toBe(200);

    // Of a secret that is not configured: its one-byte id is neither of the two.
    await database.sql('update totp_factors set encryption_key_id = (encryption_key_id + 1) % 256');
    const before = await database.sql('select * from totp_factors');
    expect(await reencrypt(WITHOUT_OLD)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        '1 of 1 authenticator apps cannot be decrypted with AUTH_SECRET or any of AUTH_SECRET_ACCEPTED: list the secret that ' +
        'they were encrypted under. All else is under AUTH_SECRET now.\n',
    });
    expect(await database.sql('select * from totp_factors')).toEqual(before);
  });
});
