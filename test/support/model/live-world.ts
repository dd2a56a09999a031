import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../../../src/auth/accounts/accounts.service.js';
import type { ProblemCode } from '../../../src/platform/common/domain.errors.js';
import { TombstoneCleanerService } from '../../../src/tokens/tombstone-cleaner.service.js';
import { expectProblem, oauthCodeOf } from '../problem.js';
import {
  type Account,
  claimsOf,
  codeOf,
  newEmail,
  newIdempotencyKey,
  newPassword,
  pairOf,
  type TestClient,
} from '../test-client.js';
import type { TestDatabase } from '../test-database.js';
import { readRefreshToken, TestFamily } from '../test-family.js';
import type { TestService } from '../test-service.js';
import {
  type Action,
  type Answer,
  type ListedSession,
  MORE_METHODS,
  RETRY_KEYS,
  type RetryKey,
  ROLES,
  type Token,
} from './family.model.js';

interface LiveUser {
  readonly id: string;
  readonly email: string;
  /** All that it has had, the current one last. */
  readonly passwords: string[];
}

interface LiveFamily {
  readonly tokens: TestFamily;
  /** The last one. */
  accessToken: string;
  backup: Backup | undefined;
}

interface Backup {
  readonly row: Readonly<
    Record<'generation' | 'key_id' | 'retry_key_hash' | 'retry_key_from_client' | 'retry_key_history', unknown>
  >;
  readonly rotatedAt: string;
  /** How far the clock had been moved then. */
  readonly movedSeconds: number;
}

interface SessionList {
  readonly sessions: readonly {
    readonly id: string;
    readonly current: boolean;
    readonly created_at: string;
    readonly last_used_at: string;
    readonly expires_at: string;
  }[];
}

/** Less than the distance of any border from what the clock can be moved to. */
const RESOLUTION_SECONDS = 20;

/**
 * One run's users and sessions in the real service: does what the model only says, and puts the answers into its words.
 * The tokens it hands on are those that it has been given, byte for byte.
 */
export class LiveWorld {
  private readonly users: LiveUser[] = [];
  private readonly families: LiveFamily[] = [];
  private readonly keys: ReadonlyMap<RetryKey, string> = new Map(RETRY_KEYS.map((key) => [key, newIdempotencyKey()]));
  private movedSeconds = 0;

  private constructor(private readonly database: TestDatabase) {}

  /** @param original the new users share its password: a hash that has been made already costs no time */
  static async open(database: TestDatabase, original: Account, userCount: number): Promise<LiveWorld> {
    await database.sql('delete from refresh_token_families');
    const world = new LiveWorld(database);
    for (let index = 0; index < userCount; index += 1) {
      const user = { id: randomUUID(), email: newEmail(), passwords: [original.password] };
      await database.sql(
        `insert into users (id, email, password_hash, roles) select $2, $3, password_hash, $4 from users where id = $1`,
        [original.id, user.id, user.email, ROLES],
      );
      world.users.push(user);
    }
    return world;
  }

  familyId(index: number): string {
    return this.family(index).tokens.id;
  }

  accessToken(index: number): string {
    return this.family(index).accessToken;
  }

  async countRows(): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>(
      'select count(*)::integer as count from refresh_token_families',
    );
    return row!.count;
  }

  /** @throws what an assertion throws, when the answer is not of the documented shape */
  async perform(action: Action, { app, client }: TestService): Promise<Answer> {
    switch (action.kind) {
      case 'register':
        return this.register(client, action.isEmailTaken);
      case 'log in': {
        const user = this.user(action.user);
        const password = action.isPasswordRight ? currentPassword(user) : this.wrongPassword(user);
        return this.readPair(await client.login({ email: user.email, password }));
      }
      case 'refresh':
        return this.refresh(client, action);
      case 'refresh with a damaged token':
        return this.readPair(await client.refresh(damaged(this.refreshToken(action.token))));
      case 'log out':
        return readNothing(
          await client.logout({
            ...(action.refreshToken !== undefined && { refreshToken: this.refreshToken(action.refreshToken) }),
            ...(action.accessTokenOf !== undefined && { accessToken: this.accessToken(action.accessTokenOf) }),
          }),
        );
      case 'log out everywhere':
        return readNothing(await client.logoutAll(this.accessToken(action.accessTokenOf)));
      case 'end session':
        return readNothing(
          await client.endSession(this.accessToken(action.accessTokenOf), this.familyId(action.target)),
        );
      case 'change password':
        return this.changePassword(client, action.accessTokenOf, action.isPasswordRight);
      case 'read user':
        return this.readUser(await client.me(this.accessToken(action.accessTokenOf)));
      case 'list sessions':
        return this.readSessions(await client.sessions(this.accessToken(action.accessTokenOf)));
      case 'disable':
        return { kind: 'count', count: await app.get(AccountsService).disable(this.user(action.user).id) };
      case 'disable the row':
        await this.database.sql(`update users set status = 'disabled' where id = $1`, [this.user(action.user).id]);
        return { kind: 'done' };
      case 'authenticate in the row':
        await this.database.sql(
          'update refresh_token_families set amr = $2, auth_time = clock_timestamp() where id = $1',
          [this.familyId(action.family), MORE_METHODS],
        );
        return { kind: 'done' };
      case 'enable':
        await app.get(AccountsService).enable(this.user(action.user).id);
        return { kind: 'done' };
      case 'clean up':
        return { kind: 'count', count: await app.get(TombstoneCleanerService).clean() };
      case 'move clock':
        await this.moveClock(action.seconds);
        return { kind: 'done' };
      case 'change settings':
        return { kind: 'done' };
      case 'back up':
        await this.backUp(this.family(action.family));
        return { kind: 'done' };
      case 'restore':
        await this.restore(this.family(action.family));
        return { kind: 'done' };
    }
  }

  private async refresh(client: TestClient, action: Extract<Action, { kind: 'refresh' }>): Promise<Answer> {
    const { scope } = action;
    const token = this.refreshToken(action.token);
    const idempotencyKey = action.key && this.keys.get(action.key);
    if (scope === undefined) {
      return this.readPair(await client.refresh(token, idempotencyKey));
    }
    const response = await client.exchange(token, { idempotencyKey, scope });
    return response.status === 400 ? { kind: 'refused', code: oauthCodeOf(response) } : this.readPair(response);
  }

  private async register(client: TestClient, isEmailTaken: boolean): Promise<Answer> {
    const user = { email: isEmailTaken ? this.user(0).email : newEmail(), password: newPassword() };
    const response = await client.register(user);
    if (response.status === 201) {
      const { id } = response.body as { id: string };
      await this.database.sql('update users set roles = $2 where id = $1', [id, ROLES]);
      this.users.push({ id, email: user.email, passwords: [user.password] });
    }
    return this.readUser(response);
  }

  private async changePassword(client: TestClient, accessTokenOf: number, isPasswordRight: boolean): Promise<Answer> {
    const accessToken = this.accessToken(accessTokenOf);
    const user = this.users.find(({ id }) => id === claimsOf(accessToken)['sub'])!;
    const password = newPassword();
    const response = await client.changePassword(
      accessToken,
      isPasswordRight ? currentPassword(user) : this.wrongPassword(user),
      password,
    );
    if (response.status === 200) {
      user.passwords.push(password);
    }
    return this.readPair(response);
  }

  private readPair(response: Response): Answer {
    if (response.status !== 200) {
      return readRefusal(response);
    }
    expect(response.body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      refresh_token: expect.any(String),
      refresh_expires_in: expect.any(Number),
      // By the route for OAuth clients only.
      ...('scope' in (response.body as object) && { scope: expect.any(String) }),
    });
    const pair = pairOf(response);
    const claims = claimsOf(pair.access_token);
    expect((response.body as { scope?: string }).scope ?? claims['scope']).toBe(claims['scope']);
    const family = this.learn(claims['sid'], pair.refresh_token);
    this.family(family).accessToken = pair.access_token;
    const { generation } = readRefreshToken(pair.refresh_token);
    // There is one token of a generation, however often it is handed out.
    expect(pair.refresh_token).toBe(this.refreshToken({ family, generation }));
    return {
      kind: 'pair',
      user: this.users.findIndex(({ id }) => id === claims['sub']),
      token: { family, generation },
      roles: claims['roles'] as string[],
      amr: claims['amr'] as string[],
      authenticatedSecondsAgo: inMovesOfTheClock(Number(claims['iat']) - Number(claims['auth_time'])),
      // What is left has been getting less since the clock was moved last.
      expiresInSeconds: Math.ceil(pair.expires_in / RESOLUTION_SECONDS) * RESOLUTION_SECONDS,
      refreshExpiresInSeconds: Math.ceil(pair.refresh_expires_in / RESOLUTION_SECONDS) * RESOLUTION_SECONDS,
    };
  }

  /** @returns the family's number, a new one for a session that nobody has heard of */
  private learn(sessionId: unknown, refreshToken: string): number {
    const known = this.families.findIndex(({ tokens }) => tokens.id === sessionId);
    if (known >= 0) {
      return known;
    }
    const tokens = new TestFamily(this.database, refreshToken);
    expect(sessionId).toBe(tokens.id);
    return this.families.push({ tokens, accessToken: '', backup: undefined }) - 1;
  }

  private readUser(response: Response): Answer {
    if (response.status !== 200 && response.status !== 201) {
      return readRefusal(response);
    }
    const index = this.users.findIndex(({ id }) => id === (response.body as { id: string }).id);
    const { id, email } = this.user(index);
    const roles = response.status === 201 ? [] : ROLES;
    expect(response.body).toEqual({ id, email, email_verified: false, roles, created_at: expect.any(String) });
    return { kind: 'user', user: index };
  }

  private readSessions(response: Response): Answer {
    if (response.status !== 200) {
      return readRefusal(response);
    }
    const secondsAgo = (time: string): number => {
      return inMovesOfTheClock((Date.now() - Date.parse(time)) / 1000);
    };
    const sessions = (response.body as SessionList).sessions.map((session): ListedSession => ({
      family: this.families.findIndex(({ tokens }) => tokens.id === session.id),
      isCurrent: session.current,
      createdSecondsAgo: secondsAgo(session.created_at),
      lastUsedSecondsAgo: secondsAgo(session.last_used_at),
      lifetimeSeconds: Math.round((Date.parse(session.expires_at) - Date.parse(session.created_at)) / 1000),
    }));
    return { kind: 'sessions', sessions };
  }

  private async moveClock(bySeconds: number): Promise<void> {
    await this.database.sql(
      `update refresh_token_families
       set created_at = created_at - make_interval(secs => $1), rotated_at = rotated_at - make_interval(secs => $1),
           expires_at = expires_at - make_interval(secs => $1), revoked_at = revoked_at - make_interval(secs => $1),
           auth_time = auth_time - make_interval(secs => $1)`,
      [bySeconds],
    );
    this.movedSeconds += bySeconds;
  }

  /**
   * What a backup of the database would hold of a rotation; what the service is never asked for has to come from it.
   */
  private async backUp(family: LiveFamily): Promise<void> {
    const [row] = await this.database.sql<Backup['row'] & { rotated_at: string }>(
      `select generation, key_id, retry_key_hash, retry_key_from_client, retry_key_history, rotated_at::text
       from refresh_token_families where id = $1`,
      [family.tokens.id],
    );
    if (row !== undefined) {
      family.backup = { row, rotatedAt: row.rotated_at, movedSeconds: this.movedSeconds };
    }
  }

  private async restore({ tokens, backup }: LiveFamily): Promise<void> {
    if (backup !== undefined) {
      const { generation, key_id, retry_key_hash, retry_key_from_client, retry_key_history } = backup.row;
      await this.database.sql(
        `update refresh_token_families
         set generation = $2, key_id = $3, retry_key_hash = $4, retry_key_from_client = $5,
             retry_key_history = $6, rotated_at = $7::timestamptz - make_interval(secs => $8)
         where id = $1`,
        [
          ...[tokens.id, generation, key_id, retry_key_hash, retry_key_from_client, retry_key_history],
          ...[backup.rotatedAt, this.movedSeconds - backup.movedSeconds],
        ],
      );
    }
  }

  private refreshToken({ family, generation }: Token): string {
    return this.family(family).tokens.token(generation);
  }

  private wrongPassword(user: LiveUser): string {
    return user.passwords.at(-2) ?? newPassword();
  }

  private user(index: number): LiveUser {
    return this.users[index]!;
  }

  private family(index: number): LiveFamily {
    return this.families[index]!;
  }
}

/** The clock moves by these; what has passed besides is less than half of one. */
function inMovesOfTheClock(seconds: number): number {
  return Math.round(seconds / (2 * RESOLUTION_SECONDS)) * 2 * RESOLUTION_SECONDS;
}

function currentPassword(user: LiveUser): string {
  return user.passwords.at(-1)!;
}

/** One bit of the generation is another. */
function damaged(refreshToken: string): string {
  const at = refreshToken.length - 50;
  return `${refreshToken.slice(0, at)}${refreshToken[at] === 'A' ? 'B' : 'A'}${refreshToken.slice(at + 1)}`;
}

function readNothing(response: Response): Answer {
  if (response.status !== 204) {
    return readRefusal(response);
  }
  expect(response.text).toBe('');
  return { kind: 'done' };
}

function readRefusal(response: Response): Answer {
  const code = codeOf(response) as ProblemCode;
  expectProblem(response, code);
  return { kind: 'refused', code };
}
