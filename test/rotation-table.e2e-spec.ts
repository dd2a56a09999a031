import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Response } from 'supertest';
import type { RevokeReason } from '../src/tokens/tokens.types.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, newIdempotencyKey, pairOf, sessionIdOf } from './support/test-client.js';
import { serverKeyOf, TestFamily } from './support/test-family.js';
import { AUTH_SECRET } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance } from './support/use-service.js';

const OTHER_AUTH_SECRET = 'auth-secret-of-the-tests-Yq5Hn8RbC2dJ6vKtA9wE';

const DAY_SECONDS = 86_400;
const IDLE_SECONDS = 14 * DAY_SECONDS;
const LIFETIME_SECONDS = 30 * DAY_SECONDS;
const GRACE_SECONDS = 20;

const JWS = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/;

/** The rows of the table in docs/rotation.md in its order, each with what it comes before. */
describe('the rotation table', () => {
  const database = useDatabase();
  const withDefaults = useInstance(database, { MAX_SESSIONS_PER_USER: '1000' });
  const withGrace = useInstance(database, { REFRESH_GRACE_SECONDS: String(GRACE_SECONDS) });
  const withoutRollForward = useInstance(database, { REFRESH_ROLL_FORWARD: 'off' });
  const withLongSessions = useInstance(database, { REFRESH_TOKEN_TTL_SECONDS: String(90 * DAY_SECONDS) });
  /** Before and after one change of `AUTH_SECRET`: each accepts the secret of the other. */
  const beforeNewSecret = useInstance(database, { AUTH_SECRET_ACCEPTED: OTHER_AUTH_SECRET });
  const afterNewSecret = useInstance(database, { AUTH_SECRET: OTHER_AUTH_SECRET, AUTH_SECRET_ACCEPTED: AUTH_SECRET });
  const instances = [withDefaults, withGrace, withoutRollForward, withLongSessions, beforeNewSecret, afterNewSecret];
  let account: Account;

  beforeAll(async () => {
    account = await withDefaults.client.signUp();
  });

  async function newFamily(): Promise<TestFamily> {
    return new TestFamily(database, (await withDefaults.client.signIn(account)).refresh_token);
  }

  /** A family whose token of generation 1 has been exchanged, with this key, for the one of generation 2. */
  async function newRotatedFamily(idempotencyKey?: string): Promise<TestFamily> {
    const family = await newFamily();
    await withDefaults.client.rotate(family.token(1), idempotencyKey);
    return family;
  }

  /** A family of generation 10, each of whose tokens has been exchanged with a key of its own. */
  async function newFamilyRotatedWithKeys(): Promise<{ family: TestFamily; keyOf: (generation: number) => string }> {
    const family = await newFamily();
    const keys = Array.from({ length: 9 }, newIdempotencyKey);
    for (const [index, key] of keys.entries()) {
      await withDefaults.client.rotate(family.token(index + 1), key);
    }
    return { family, keyOf: (generation) => keys[generation - 1]! };
  }

  /** A family of a user of its own, who has been disabled in a way that left the family alone. */
  async function newFamilyOfDisabledUser(idempotencyKey?: string): Promise<TestFamily> {
    const { id, pair } = await withDefaults.client.signUpAndIn();
    const family = new TestFamily(database, pair.refresh_token);
    await withDefaults.client.rotate(family.token(1), idempotencyKey);
    await database.sql(`update users set status = 'disabled' where id = $1`, [id]);
    return family;
  }

  /** The answer is this problem, and nothing has been written to the row. */
  async function expectRefusal(
    family: TestFamily,
    [token, idempotencyKey]: readonly [token: string, idempotencyKey?: string],
    code: Parameters<typeof expectProblem>[1],
    service = withDefaults,
  ): Promise<void> {
    const untouched = await family.row();
    expectProblem(await service.client.refresh(token, idempotencyKey), code);
    expect(await family.row()).toEqual(untouched);
  }

  async function expectReuse(response: Response, family: TestFamily): Promise<void> {
    expectProblem(response, 'refresh_token_reused');
    expect(await family.row()).toMatchObject({ revoked_at: expect.any(Date), revoke_reason: 'reuse' });
  }

  /** A whole pair with exactly this refresh token. */
  function expectPair(response: Response, refreshToken: string): void {
    expect({ status: response.status, body: response.body as unknown }).toEqual({
      status: 200,
      body: {
        access_token: expect.stringMatching(JWS),
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: refreshToken,
        refresh_expires_in: expect.any(Number),
      },
    });
    expect(response.headers['cache-control']).toBe('no-store');
  }

  /** The same successor once more, and nothing has been written to the row. */
  async function expectReplay(
    family: TestFamily,
    [token, idempotencyKey]: readonly [token: string, idempotencyKey?: string],
    successor: string,
    service = withDefaults,
  ): Promise<void> {
    const untouched = await family.row();
    expectPair(await service.client.refresh(token, idempotencyKey), successor);
    expect(await family.row()).toEqual(untouched);
  }

  /** In whose log it stands says nothing here: Nest's `Logger` is one for the process, and writes to one of them. */
  function eventsOf(family: TestFamily, event: string): readonly Record<string, unknown>[] {
    return instances.flatMap(({ logs }) => logs).filter((line) => line['event'] === event && line['sid'] === family.id);
  }

  async function endsIn(family: TestFamily, seconds: number): Promise<void> {
    await database.sql(
      `update refresh_token_families set expires_at = clock_timestamp() + make_interval(secs => $2) where id = $1`,
      [family.id, seconds],
    );
  }

  describe('tag wrong: refresh_token_invalid', () => {
    it('refuses a token with a tag of another secret, which names an unknown key', async () => {
      const family = await newFamily();
      expect(serverKeyOf(OTHER_AUTH_SECRET).id).not.toBe(serverKeyOf(AUTH_SECRET).id);
      await expectRefusal(family, [family.token(1, OTHER_AUTH_SECRET)], 'refresh_token_invalid');
      expect(eventsOf(family, 'refresh_token_forged')).toEqual([]);
    });

    it('comes before a revoked family: a client without an authentic token learns nothing', async () => {
      const family = await newFamily();
      await family.end('logout');
      await expectRefusal(family, [family.token(1, OTHER_AUTH_SECRET)], 'refresh_token_invalid');
    });
  });

  describe('no such row: session_expired', () => {
    it('tells the holder of an authentic token of a family that has been cleaned up that the session is over', async () => {
      const family = await newRotatedFamily();
      await database.sql('delete from refresh_token_families where id = $1', [family.id]);
      for (const token of [family.token(1), family.token(2), family.token(3), family.forgedToken(2)]) {
        expectProblem(await withDefaults.client.refresh(token), 'session_expired');
      }
    });
  });

  describe('secret does not match, or too far ahead: refresh_token_invalid, alarm', () => {
    it.each([1, 2, 3, 1_000_000])(
      'refuses a wrong secret at generation %i of 2, and raises the alarm',
      async (generation) => {
        const family = await newRotatedFamily();
        await expectRefusal(family, [family.forgedToken(generation)], 'refresh_token_invalid');
        expect(eventsOf(family, 'refresh_token_forged')).toEqual([
          expect.objectContaining({
            level: 'error',
            presentedGeneration: generation,
            alarm: expect.stringContaining('AUTH_SECRET has leaked'),
          }),
        ]);
        expectPair(await withDefaults.client.refresh(family.token(2)), family.token(3));
      },
    );

    it('refuses a generation 1,001 ahead, and raises the alarm', async () => {
      const family = await newRotatedFamily();
      await expectRefusal(family, [family.token(2 + 1_001)], 'refresh_token_invalid');
      expect(eventsOf(family, 'refresh_token_forged')).toHaveLength(1);
    });

    it('comes before revoked, expired and disabled: a forger learns nothing about the session', async () => {
      const revoked = await newFamily();
      await revoked.end('reuse');
      await expectRefusal(revoked, [revoked.forgedToken(1)], 'refresh_token_invalid');
      await expectRefusal(revoked, [revoked.token(1 + 1_001)], 'refresh_token_invalid');

      const expired = await newFamily();
      await expired.age(LIFETIME_SECONDS);
      await expectRefusal(expired, [expired.forgedToken(1)], 'refresh_token_invalid');

      const disabled = await newFamilyOfDisabledUser();
      await expectRefusal(disabled, [disabled.forgedToken(2)], 'refresh_token_invalid');
    });

    it('comes before a replay: the key does not make up for the secret', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await expectRefusal(family, [family.forgedToken(1), key], 'refresh_token_invalid');
    });
  });

  describe('family revoked', () => {
    const otherReasons: readonly RevokeReason[] = [
      ...(['logout', 'logout_all', 'session_ended', 'session_limit'] as const),
      ...(['password_changed', 'user_deleted', 'operator', 'rolled_back'] as const),
    ];

    it.each([
      ['reuse', 'refresh_token_reused'],
      ['user_disabled', 'account_disabled'],
      ...otherReasons.map((reason) => [reason, 'session_revoked'] as const),
    ] as const)('for %s: %s', async (reason, code) => {
      const family = await newFamily();
      await family.end(reason);
      await expectRefusal(family, [family.token(1)], code);
    });

    it('comes before an earlier or a later generation, a replay and a reused key: the first reason stays', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await withDefaults.client.logout({ refreshToken: family.token(2) });
      for (const presentation of [
        [family.token(1)],
        [family.token(1), key],
        [family.token(2), key],
        [family.token(3)],
      ] as const) {
        await expectRefusal(family, presentation, 'session_revoked');
      }
      expect((await family.row()).revoke_reason).toBe('logout');
    });

    it('comes before the end by time and before the user, even for one who has been enabled again', async () => {
      const expired = await newFamily();
      await expired.end('logout');
      await expired.age(LIFETIME_SECONDS);
      await expectRefusal(expired, [expired.token(1)], 'session_revoked');

      const disabled = await newFamilyOfDisabledUser();
      await disabled.end('logout');
      await expectRefusal(disabled, [disabled.token(2)], 'session_revoked');

      const enabledAgain = await newFamily();
      await enabledAgain.end('user_disabled');
      await expectRefusal(enabledAgain, [enabledAgain.token(1)], 'account_disabled');
    });
  });

  describe('past the absolute end, or idle too long: session_expired', () => {
    it('refuses a token that nobody has used for the idle limit, and takes it just before', async () => {
      const family = await newRotatedFamily();
      await family.age(IDLE_SECONDS - 30);
      expectPair(await withDefaults.client.refresh(family.token(2)), family.token(3));
      await family.age(IDLE_SECONDS);
      await expectRefusal(family, [family.token(3)], 'session_expired');
    });

    it('refuses a token after the absolute end, however recently it was made, and takes it before', async () => {
      const family = await newRotatedFamily();
      await endsIn(family, 330);
      expectPair(await withDefaults.client.refresh(family.token(2)), family.token(3));
      await endsIn(family, 0);
      await expectRefusal(family, [family.token(3)], 'session_expired');
    });

    it('comes before the user, an earlier or a later generation, a replay and a reused key', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await family.age(IDLE_SECONDS);
      for (const presentation of [
        [family.token(1)],
        [family.token(1), key],
        [family.token(2), key],
        [family.token(3)],
      ] as const) {
        await expectRefusal(family, presentation, 'session_expired');
      }

      const disabled = await newFamilyOfDisabledUser();
      await disabled.age(LIFETIME_SECONDS);
      await expectRefusal(disabled, [disabled.token(2)], 'session_expired');
    });
  });

  describe('user not active: account_disabled', () => {
    it('refuses the good token of a disabled user', async () => {
      const family = await newFamilyOfDisabledUser();
      await expectRefusal(family, [family.token(2)], 'account_disabled');
    });

    it('refuses the good token of a deleted user', async () => {
      const { id, pair } = await withDefaults.client.signUpAndIn();
      const family = new TestFamily(database, pair.refresh_token);
      await database.sql('delete from users where id = $1', [id]);
      await expectRefusal(family, [family.token(1)], 'account_disabled');
    });

    it('comes before an earlier or a later generation, a replay and a reused key', async () => {
      const key = newIdempotencyKey();
      const family = await newFamilyOfDisabledUser(key);
      await expectRefusal(family, [family.token(1)], 'account_disabled');
      await expectRefusal(family, [family.token(1), key], 'account_disabled');
      await expectRefusal(family, [family.token(2), key], 'account_disabled');
      await expectRefusal(family, [family.token(3)], 'account_disabled');
    });
  });

  describe('generation = current, with a key of one of the last eight rotations: 422 idempotency_key_reused', () => {
    it('moves nothing, and the token stays good for another key', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await expectRefusal(family, [family.token(2), key], 'idempotency_key_reused');
      await expectRefusal(family, [family.token(2), key], 'idempotency_key_reused', withGrace);
      expectPair(await withDefaults.client.refresh(family.token(2), newIdempotencyKey()), family.token(3));
    });

    it('refuses each of the last eight keys, and takes the ninth', async () => {
      const { family, keyOf } = await newFamilyRotatedWithKeys();
      for (let generation = 2; generation <= 9; generation += 1) {
        await expectRefusal(family, [family.token(10), keyOf(generation)], 'idempotency_key_reused');
      }
      expectPair(await withDefaults.client.refresh(family.token(10), keyOf(1)), family.token(11));
    });

    it('does not hold for the first token of a session, whose login had no key', async () => {
      const key = newIdempotencyKey();
      const [first, second] = [await newFamily(), await newFamily()];
      expectPair(await withDefaults.client.refresh(first.token(1), key), first.token(2));
      expectPair(await withDefaults.client.refresh(second.token(1), key), second.token(2));
    });
  });

  describe('generation = current, or ahead of it, with a scope of more than the roles: roles_not_granted', () => {
    /** A family of a user who is a reader and a writer, at generation 2. */
    async function newFamilyWithRoles(idempotencyKey?: string): Promise<TestFamily> {
      const { id, pair } = await withDefaults.client.signUpAndIn();
      await database.sql(`update users set roles = '{reader,writer}' where id = $1`, [id]);
      const family = new TestFamily(database, pair.refresh_token);
      await withDefaults.client.rotate(family.token(1), idempotencyKey);
      return family;
    }

    it('moves nothing, with or without a key, and the token stays good for less', async () => {
      const family = await newFamilyWithRoles();
      const untouched = await family.row();
      const key = newIdempotencyKey();
      for (const generation of [2, 3]) {
        for (const idempotencyKey of [undefined, key, key]) {
          const refused = await withDefaults.client.exchange(family.token(generation), {
            idempotencyKey,
            scope: 'owner',
          });
          expect([refused.status, refused.body]).toMatchObject([400, { error: 'invalid_scope' }]);
        }
      }
      expect(await family.row()).toEqual(untouched);
      const granted = await withDefaults.client.exchange(family.token(2), { idempotencyKey: key, scope: 'writer' });
      expect(granted).toMatchObject({ status: 200, body: { scope: 'writer', refresh_token: family.token(3) } });
    });

    it('comes after a reused key, a replay and a reuse', async () => {
      const key = newIdempotencyKey();
      const family = await newFamilyWithRoles(key);
      const ask = async (generation: number, idempotencyKey?: string): Promise<unknown> =>
        (await withDefaults.client.exchange(family.token(generation), { idempotencyKey, scope: 'reader owner' })).body;
      expect(await ask(2, key)).toMatchObject({ error: 'invalid_request' });
      expect(await ask(1, key)).toMatchObject({ scope: 'reader', refresh_token: family.token(2) });
      expect(await ask(1)).toMatchObject({ error: 'invalid_grant' });
      expect(await family.row()).toMatchObject({ revoke_reason: 'reuse' });
    });

    it('comes after a rollback that REFRESH_ROLL_FORWARD=off does not heal', async () => {
      const family = await newFamilyWithRoles();
      const refused = await withoutRollForward.client.exchange(family.token(3), { scope: 'owner' });
      expect(refused.body).toMatchObject({ error: 'invalid_grant' });
      expect(await family.row()).toMatchObject({ revoke_reason: 'rolled_back' });
    });
  });

  describe('generation = current: rotated', () => {
    it('answers with the next token, and stores the generation, the instant and where it came from', async () => {
      const family = await newFamily();
      const untouched = await family.row();
      const response = await withDefaults.client.post(
        '/auth/refresh',
        { refresh_token: family.token(1) },
        { 'user-agent': 'ratchet test' },
      );
      expectPair(response, family.token(2));
      const { version, ...row } = await family.row();
      expect(version).not.toBe(untouched.version);
      expect(row).toEqual({
        ...untouched,
        version: undefined,
        generation: 2,
        rotated_at: expect.any(Date),
        retry_key_hash: expect.any(Buffer),
        retry_key_from_client: false,
        retry_key_history: expect.any(Buffer),
        ip_address: '127.0.0.1',
        user_agent: 'ratchet test',
      });
      expect(row.rotated_at.getTime()).toBeGreaterThan(untouched.rotated_at.getTime());
    });

    it('hands out an access token of the same session with the roles of now', async () => {
      const { id, pair } = await withDefaults.client.signUpAndIn();
      await database.sql(`update users set roles = '{reader,writer}' where id = $1`, [id]);
      const { access_token } = await withDefaults.client.rotate(pair.refresh_token, newIdempotencyKey());
      expect(claimsOf(access_token)).toMatchObject({
        sub: id,
        sid: sessionIdOf(pair),
        roles: ['reader', 'writer'],
        scope: 'reader writer',
      });
      expect((await withDefaults.client.me(access_token)).status).toBe(200);
    });

    it('goes on for as many generations as one likes, with and without keys', async () => {
      const family = await newFamily();
      for (let generation = 1; generation <= 30; generation += 1) {
        const key = generation % 3 === 0 ? newIdempotencyKey() : undefined;
        const service = generation % 2 === 0 ? withDefaults : withGrace;
        expectPair(await service.client.refresh(family.token(generation), key), family.token(generation + 1));
      }
    });
  });

  describe('generation = current − 1, with the key of the rotation that retired it: replayed', () => {
    it('answers with the same successor byte for byte, as often as one asks, and moves nothing', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      for (const service of [withDefaults, withGrace, withDefaults]) {
        await expectReplay(family, [family.token(1), key], family.token(2), service);
      }
      expectPair(await withDefaults.client.refresh(family.token(2), newIdempotencyKey()), family.token(3));
    });

    it('does so however late, as long as the session lasts', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await family.age(IDLE_SECONDS - 60);
      await expectReplay(family, [family.token(1), key], family.token(2));
    });

    it('takes another key for a reuse', async () => {
      const family = await newRotatedFamily(newIdempotencyKey());
      await expectReuse(await withDefaults.client.refresh(family.token(1), newIdempotencyKey()), family);
    });

    it('takes a missing key for a reuse', async () => {
      const family = await newRotatedFamily(newIdempotencyKey());
      await expectReuse(await withDefaults.client.refresh(family.token(1)), family);
    });

    it('takes a key for a reuse where the rotation had none', async () => {
      const family = await newRotatedFamily();
      await expectReuse(await withDefaults.client.refresh(family.token(1), newIdempotencyKey()), family);
    });

    it('is logged when it comes from another address', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await database.sql(`update refresh_token_families set ip_address = '192.0.2.7' where id = $1`, [family.id]);
      await expectReplay(family, [family.token(1), key], family.token(2));
      expect(eventsOf(family, 'refresh_replayed_from_another_address')).toEqual([
        expect.objectContaining({ level: 'warn', ipAddress: '127.0.0.1', lastIpAddress: '192.0.2.7' }),
      ]);
    });
  });

  describe('generation = current − 1, within the grace window of a rotation without a key: replayed', () => {
    it('answers with the same successor and moves nothing', async () => {
      const family = await newRotatedFamily();
      await expectReplay(family, [family.token(1)], family.token(2), withGrace);
      // A client that has a key by now is no worse off than one that has none.
      await expectReplay(family, [family.token(1), newIdempotencyKey()], family.token(2), withGrace);
      expectPair(await withGrace.client.refresh(family.token(2)), family.token(3));
    });

    it('is off by default', async () => {
      const family = await newRotatedFamily();
      await expectReuse(await withDefaults.client.refresh(family.token(1)), family);
    });

    it('ends on time: it is anchored at the rotation, and replays do not prolong it', async () => {
      const family = await newRotatedFamily();
      for (let age = 0; age < GRACE_SECONDS - 5; age += 5) {
        await family.age(5);
        await expectReplay(family, [family.token(1)], family.token(2), withGrace);
      }
      await family.age(5);
      await expectReuse(await withGrace.client.refresh(family.token(1)), family);
    });

    it('does not apply to a rotation that carried a key: its client can retry with that', async () => {
      const key = newIdempotencyKey();
      const withoutKey = await newRotatedFamily(key);
      await expectReuse(await withGrace.client.refresh(withoutKey.token(1)), withoutKey);
      const withOtherKey = await newRotatedFamily(key);
      await expectReuse(await withGrace.client.refresh(withOtherKey.token(1), newIdempotencyKey()), withOtherKey);
    });

    it('reaches back one generation only', async () => {
      const family = await newRotatedFamily();
      await withGrace.client.rotate(family.token(2));
      await expectReuse(await withGrace.client.refresh(family.token(1)), family);
    });
  });

  describe('lower generation, with the key of the rotation that retired it: 422 idempotency_key_reused', () => {
    it('moves nothing for each of the last eight rotations, and the session goes on', async () => {
      const { family, keyOf } = await newFamilyRotatedWithKeys();
      for (let generation = 2; generation <= 8; generation += 1) {
        for (const service of [withDefaults, withGrace]) {
          await expectRefusal(family, [family.token(generation), keyOf(generation)], 'idempotency_key_reused', service);
        }
      }
      expect(eventsOf(family, 'refresh_token_reused')).toEqual([]);
      await expectReplay(family, [family.token(9), keyOf(9)], family.token(10));
      expectPair(await withDefaults.client.refresh(family.token(10), newIdempotencyKey()), family.token(11));
    });

    it('takes the token of the ninth rotation back for a reuse, even with its key', async () => {
      const { family, keyOf } = await newFamilyRotatedWithKeys();
      await expectReuse(await withDefaults.client.refresh(family.token(1), keyOf(1)), family);
    });

    it.each([
      ['no key', () => undefined],
      ['another key', () => newIdempotencyKey()],
      ['the key of the rotation after it', (keyOf: (generation: number) => string) => keyOf(6)],
    ] as const)('takes a token with %s for a reuse', async (_, keyFrom) => {
      const { family, keyOf } = await newFamilyRotatedWithKeys();
      await expectReuse(await withDefaults.client.refresh(family.token(5), keyFrom(keyOf)), family);
    });

    it('counts rotations without a key among the eight', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      for (let generation = 2; generation <= 8; generation += 1) {
        await withDefaults.client.rotate(family.token(generation));
      }
      await expectRefusal(family, [family.token(1), key], 'idempotency_key_reused');
      await withDefaults.client.rotate(family.token(9));
      await expectReuse(await withDefaults.client.refresh(family.token(1), key), family);
    });

    it('knows the keys of this session only', async () => {
      const key = newIdempotencyKey();
      const [first, second] = [await newRotatedFamily(key), await newRotatedFamily()];
      await withDefaults.client.rotate(first.token(2));
      await withDefaults.client.rotate(second.token(2));
      await expectRefusal(first, [first.token(1), key], 'idempotency_key_reused');
      await expectReuse(await withDefaults.client.refresh(second.token(1), key), second);
    });

    it('knows the keys from before a lost commit, and none of the commits that were lost', async () => {
      const keys = [newIdempotencyKey(), newIdempotencyKey()] as const;
      const family = await newRotatedFamily(keys[0]);
      const { retry_key_history } = await family.row();
      await withDefaults.client.rotate(family.token(2), keys[1]);
      await database.sql('update refresh_token_families set generation = 2, retry_key_history = $2 where id = $1', [
        family.id,
        retry_key_history,
      ]);
      expectPair(await withDefaults.client.refresh(family.token(3), newIdempotencyKey()), family.token(4));
      await expectRefusal(family, [family.token(1), keys[0]], 'idempotency_key_reused');
      await expectReuse(await withDefaults.client.refresh(family.token(2), keys[1]), family);
    });

    it('holds for what this version rotated when an older one, which keeps no history, rotates in between', async () => {
      const keys = [newIdempotencyKey(), newIdempotencyKey()] as const;
      const family = await newRotatedFamily(keys[0]);
      await family.setGeneration(4);
      await withDefaults.client.rotate(family.token(4), keys[1]);
      await withDefaults.client.rotate(family.token(5));
      await expectRefusal(family, [family.token(1), keys[0]], 'idempotency_key_reused');
      await expectRefusal(family, [family.token(4), keys[1]], 'idempotency_key_reused');
      // The key of one rotation says nothing about another generation.
      await expectReuse(await withDefaults.client.refresh(family.token(3), keys[0]), family);
    });
  });

  describe('any other lower generation: reused', () => {
    it('ends the session for good: refresh tokens and access tokens of every generation', async () => {
      const pair = await withDefaults.client.signIn(account);
      const family = new TestFamily(database, pair.refresh_token);
      const successor = await withDefaults.client.rotate(family.token(1));
      const response = await withDefaults.client.refresh(family.token(1));
      // The very next requests: the instance that saw the reuse does not wait for the feed.
      for (const accessToken of [pair.access_token, successor.access_token]) {
        expectProblem(await withDefaults.client.me(accessToken), 'access_token_revoked');
      }
      await expectReuse(response, family);
      expect(eventsOf(family, 'refresh_token_reused')).toEqual([
        expect.objectContaining({ level: 'warn', presentedGeneration: 1, currentGeneration: 2 }),
      ]);

      await expectRefusal(family, [family.token(1)], 'refresh_token_reused');
      await expectRefusal(family, [family.token(2)], 'refresh_token_reused');
      await expectRefusal(family, [family.token(3)], 'refresh_token_reused', withGrace);
    });

    it('ends that session only', async () => {
      const [stolen, other] = [await newRotatedFamily(), await newRotatedFamily()];
      await expectReuse(await withDefaults.client.refresh(stolen.token(1)), stolen);
      expectPair(await withDefaults.client.refresh(other.token(2)), other.token(3));
    });
  });

  describe('generation higher than current: rolled forward', () => {
    it.each([
      ['one', 1],
      ['exactly 1,000', 1_000],
    ])(
      'goes on from a token %s ahead, as a rotation of it would, and says that commits were lost',
      async (_, ahead) => {
        const presented = 2 + ahead;
        const key = newIdempotencyKey();
        const family = await newRotatedFamily();
        expectPair(await withDefaults.client.refresh(family.token(presented), key), family.token(presented + 1));
        expect(await family.row()).toMatchObject({ generation: presented + 1, retry_key_from_client: true });
        expect(eventsOf(family, 'acknowledged_commits_lost')).toEqual([
          expect.objectContaining({
            level: 'error',
            presentedGeneration: presented,
            alarm: expect.stringContaining('acknowledged commits were lost, revocations may be too'),
          }),
        ]);

        await expectReplay(family, [family.token(presented), key], family.token(presented + 1));
        await expectReuse(await withDefaults.client.refresh(family.token(presented - 1)), family);
      },
    );

    it('heals a session whose row has been restored from a backup', async () => {
      const family = await newFamily();
      await family.setGeneration(40);
      expectPair(await withDefaults.client.refresh(family.token(40)), family.token(41));
      await family.setGeneration(7);
      expectPair(await withDefaults.client.refresh(family.token(41)), family.token(42));
      await expectReuse(await withDefaults.client.refresh(family.token(7)), family);
    });
  });

  describe('generation higher than current, with REFRESH_ROLL_FORWARD=off', () => {
    it('ends the family', async () => {
      const pair = await withDefaults.client.signIn(account);
      const family = new TestFamily(database, pair.refresh_token);
      expectProblem(await withoutRollForward.client.refresh(family.token(2)), 'session_revoked');
      expect(await family.row()).toMatchObject({
        generation: 1,
        revoked_at: expect.any(Date),
        revoke_reason: 'rolled_back',
      });
      expect(eventsOf(family, 'acknowledged_commits_lost')).toHaveLength(1);
      expectProblem(await withoutRollForward.client.me(pair.access_token), 'access_token_revoked');
      await expectRefusal(family, [family.token(1)], 'session_revoked', withoutRollForward);
    });

    it('still takes more than 1,000 ahead for a forgery, and the current generation for what it is', async () => {
      const family = await newFamily();
      await expectRefusal(family, [family.token(1 + 1_001)], 'refresh_token_invalid', withoutRollForward);
      expectPair(await withoutRollForward.client.refresh(family.token(1)), family.token(2));
    });
  });

  describe('a change of AUTH_SECRET', () => {
    it('ends no session: the old token is good for one that is minted under the current secret', async () => {
      const family = await newFamily();
      expectPair(await afterNewSecret.client.refresh(family.token(1)), family.token(2, OTHER_AUTH_SECRET));
      expect((await family.row()).key_id).toBe(serverKeyOf(OTHER_AUTH_SECRET).id);
      // While the instances change over, a client meets both.
      expectPair(await beforeNewSecret.client.refresh(family.token(2, OTHER_AUTH_SECRET)), family.token(3));
      expect((await family.row()).key_id).toBe(serverKeyOf(AUTH_SECRET).id);
    });

    it('lets a replay be byte-identical, by an instance on either side of it', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await expectReplay(family, [family.token(1), key], family.token(2), afterNewSecret);

      const secondKey = newIdempotencyKey();
      const successor = family.token(3, OTHER_AUTH_SECRET);
      expectPair(await afterNewSecret.client.refresh(family.token(2), secondKey), successor);
      await expectReplay(family, [family.token(2), secondKey], successor, beforeNewSecret);
    });

    it('hides no reuse: the old spelling of a used token is still an earlier generation', async () => {
      const family = await newFamily();
      await afterNewSecret.client.rotate(family.token(1));
      await expectReuse(await afterNewSecret.client.refresh(family.token(1)), family);
    });

    it('does nothing where an instance lacks the secret that the successor was minted under', async () => {
      const key = newIdempotencyKey();
      const family = await newFamily();
      const successor = family.token(2, OTHER_AUTH_SECRET);
      expectPair(await afterNewSecret.client.refresh(family.token(1), key), successor);
      const untouched = await family.row();
      expectUnavailable(await withDefaults.client.refresh(family.token(1), key), 'temporarily_unavailable');
      expect(await family.row()).toEqual(untouched);
      expect(eventsOf(family, 'server_key_missing')).toHaveLength(1);
      await expectReplay(family, [family.token(1), key], successor, beforeNewSecret);
    });
  });

  describe('time', () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    it('promises a rotated token for the idle limit', async () => {
      const family = await newFamily();
      expect((await withDefaults.client.rotate(family.token(1))).refresh_expires_in).toBe(IDLE_SECONDS);
    });

    it('promises no more than what is left of the session', async () => {
      const family = await newFamily();
      await family.age(13 * DAY_SECONDS);
      await withDefaults.client.rotate(family.token(1));
      await family.age(5 * DAY_SECONDS);
      const { refresh_expires_in } = await withDefaults.client.rotate(family.token(2));
      const [left] = await database.sql<{ seconds: number }>(
        'select floor(extract(epoch from expires_at - rotated_at))::integer as seconds from refresh_token_families where id = $1',
        [family.id],
      );
      expect(refresh_expires_in).toBe(left?.seconds);
      expect(refresh_expires_in).toBeLessThanOrEqual(12 * DAY_SECONDS);
      expect(refresh_expires_in).toBeGreaterThan(12 * DAY_SECONDS - 60);
    });

    it('promises a replayed token no longer than the rotation did', async () => {
      const key = newIdempotencyKey();
      const family = await newRotatedFamily(key);
      await family.age(DAY_SECONDS);
      const { refresh_expires_in } = await withDefaults.client.rotate(family.token(1), key);
      expect(refresh_expires_in).toBeLessThan(IDLE_SECONDS - DAY_SECONDS);
      expect(refresh_expires_in).toBeGreaterThan(IDLE_SECONDS - DAY_SECONDS - 60);
    });

    it('lets no access token outlive its session', async () => {
      const family = await newFamily();
      await endsIn(family, 100);
      const pair = await withDefaults.client.rotate(family.token(1));
      const { iat, exp } = claimsOf(pair.access_token) as { iat: number; exp: number };
      expect(exp).toBe(Math.floor((await family.row()).expires_at.getTime() / 1000));
      expect(pair.expires_in).toBe(exp - iat);
      expect(pair.expires_in).toBeLessThanOrEqual(100);
      expect(pair.refresh_expires_in).toBeLessThanOrEqual(100);
    });

    it("is the database's: an instance whose clock is a year off issues the same tokens", async () => {
      const family = await newFamily();
      const realTime = new Date();
      // Only the time of day; what waits goes on waiting as ever.
      vi.useFakeTimers({
        now: realTime.getTime() + 365 * DAY_SECONDS * 1000,
        toFake: ['Date'],
      });
      const response = await withDefaults.client.refresh(family.token(1));
      vi.useRealTimers();
      expectPair(response, family.token(2));
      const rotatedAtSeconds = Math.floor((await family.row()).rotated_at.getTime() / 1000);
      expect(rotatedAtSeconds).toBeLessThan(realTime.getTime() / 1000 + 60);
      expect(claimsOf(pairOf(response).access_token)).toMatchObject({
        iat: rotatedAtSeconds,
        exp: rotatedAtSeconds + 300,
      });
    });

    it('invariant 7: the absolute end never moves, whatever rotates the family, and rotation inserts no row', async () => {
      const family = await newFamily();
      const { created_at, expires_at } = await family.row();
      expect(expires_at.getTime() - created_at.getTime()).toBe(LIFETIME_SECONDS * 1000);
      const countFamilies = (): Promise<{ count: number }[]> =>
        database.sql('select count(*)::integer as count from refresh_token_families');
      const familiesBefore = await countFamilies();

      const key = newIdempotencyKey();
      await withLongSessions.client.rotate(family.token(1));
      await withDefaults.client.rotate(family.token(2), key);
      await withDefaults.client.rotate(family.token(2), key);
      await withGrace.client.rotate(family.token(3));
      await withLongSessions.client.rotate(family.token(3 + 500));

      expect(await family.row()).toMatchObject({ created_at, expires_at });
      expect(await countFamilies()).toEqual(familiesBefore);
    });
  });
});
