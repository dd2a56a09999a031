import { beforeAll, describe, expect, it } from 'vitest';
import { randomBytes, randomUUID } from 'node:crypto';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { TokensService } from '../src/tokens/tokens.service.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { newPassword, pairOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { readRefreshToken, serverKeyOf } from './support/test-family.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const TOKEN_CHARACTERS = 96;
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('the format of a refresh token', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  /** What has reached the database. */
  const statements = recordStatements(proxy);
  const service = useInstance(proxy);
  let pair: TokenPair;

  beforeAll(async () => {
    pair = (await service.client.signUpAndIn()).pair;
  });

  /** What is no token is refused on every way that a refresh token comes in, and no statement reaches the database. */
  async function expectRefusedUnasked(tokens: readonly string[]): Promise<void> {
    const { length: statementsBefore } = statements;
    for (const token of tokens) {
      const [refreshed, loggedOut] = await Promise.all([
        service.client.refresh(token),
        service.client.logout({ refreshToken: token }),
      ]);
      expectProblem(refreshed, 'refresh_token_invalid');
      expectProblem(loggedOut, 'refresh_token_invalid');
    }
    expect(statements.slice(statementsBefore)).toEqual([]);
  }

  it('is 96 characters that say which server key to try', () => {
    expect(pair.refresh_token).toMatch(/^rt1\.[A-Za-z0-9_-]{92}$/);
    expect(pair.refresh_token).toHaveLength(TOKEN_CHARACTERS);
    const [keyId] = Buffer.from(pair.refresh_token.slice('rt1.'.length), 'base64url');
    expect(keyId).toBe(serverKeyOf(AUTH_SECRET).id);
  });

  it('has 128 random bits that no other session has, none of which is the same in all', async () => {
    const account = await service.client.signUp();
    const secrets: Buffer[] = [];
    for (let session = 0; session < 40; session++) {
      secrets.push(readRefreshToken((await service.client.signIn(account)).refresh_token).familySecret);
    }
    expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(secrets.length);
    const [everSet, alwaysSet] = [Buffer.alloc(16), Buffer.alloc(16, 0xff)];
    for (const secret of secrets) {
      expect(secret).toHaveLength(16);
      secret.forEach((byte, index) => {
        everSet.writeUInt8(everSet.readUInt8(index) | byte, index);
        alwaysSet.writeUInt8(alwaysSet.readUInt8(index) & byte, index);
      });
    }
    // Once in 4 billion runs chance alone breaks this.
    expect(everSet).toEqual(Buffer.alloc(16, 0xff));
    expect(alwaysSet).toEqual(Buffer.alloc(16));
  });

  it("is of a session whose id begins with the first byte of its user's id, from a login and a password change", async () => {
    const { pair: first, id: userId, password } = await service.client.signUpAndIn();
    const changed = pairOf(await service.client.changePassword(first.access_token, password, newPassword()));
    for (const sessionId of [sessionIdOf(first), sessionIdOf(changed)]) {
      expect(sessionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(sessionId.slice(0, 2)).toBe(userId.slice(0, 2));
    }
    expect(sessionIdOf(changed)).not.toBe(sessionIdOf(first));
  });

  it('goes on working when the id of its session begins otherwise, as those of before do', async () => {
    const { id: userId } = await service.client.signUp();
    const first = (parseInt(userId.slice(0, 2), 16) ^ 0xff).toString(16).padStart(2, '0');
    const family = { id: first + randomUUID().slice(2), secret: randomBytes(16) };
    const client = { ipAddress: undefined, userAgent: undefined };
    const { grant } = await service.app
      .get(DatabaseService)
      .transaction((transaction) =>
        service.app.get(TokensService).createFamily(transaction, family, { id: userId, roles: [] }, ['pwd'], client),
      );
    const next = await service.client.rotate(grant.refreshToken);
    expect(sessionIdOf(next)).toBe(family.id);
    expect((await service.client.logout({ refreshToken: next.refresh_token })).status).toBe(204);
    expectProblem(await service.client.me(next.access_token), 'access_token_revoked');
  });

  it('invariant 9: a token with one character changed, at any position, is refused without a query', async () => {
    const changed = Array.from({ length: TOKEN_CHARACTERS }, (_, position) => {
      const character = pair.refresh_token.charAt(position);
      const neighbour = BASE64URL.charAt((BASE64URL.indexOf(character) + 1) % BASE64URL.length);
      return pair.refresh_token.slice(0, position) + neighbour + pair.refresh_token.slice(position + 1);
    });
    expect(new Set([...changed, pair.refresh_token]).size).toBe(TOKEN_CHARACTERS + 1);
    await expectRefusedUnasked(changed);
  });

  it('invariant 9: whatever else is no token of this service is refused without a query', async () => {
    const { refresh_token: token, access_token } = pair;
    const body = token.slice('rt1.'.length);
    const bytes = Buffer.from(body, 'base64url');
    await expectRefusedUnasked([
      ...[
        '',
        ' ',
        'null',
        'rt1',
        'rt1.',
        body,
        `.${body}`,
        `rt2.${body}`,
        `rt1..${body}`,
        `rt1.${token}`,
        `RT1.${body}`,
      ],
      ...[token.slice(0, -1), token.slice(0, -4), token.slice(1), token.slice(0, 48), token + token],
      ...[`${token}A`, `${token}=`, `${token}==`, `${token}.`, `${token},${token}`],
      ...[` ${token}`, `${token} `, `${token}\n`, `\t${token}`, `${token}\0`, `${token}\u200b`, `rt1. ${body}`],
      ...[token.toLowerCase(), token.toUpperCase(), `rt1.${body.split('').reverse().join('')}`],
      ...[`rt1.${bytes.toString('hex')}`, `rt1.${Buffer.alloc(69).toString('base64url')}`],
      // 0xfb 0xff is what the two alphabets of base64 spell differently.
      `rt1.${Buffer.alloc(69, 'fbff', 'hex').toString('base64')}`,
      `rt1.${bytes.toString('base64').replace(/[A-Za-z0-9]$/, '+')}`,
      ...[encodeURIComponent(`${token} `), JSON.stringify(token), `Bearer ${token}`, 'é'.repeat(96), '𝕣𝕥𝟙.'.repeat(24)],
      ...[access_token, `${access_token}.${access_token}`, "' or 1=1 --", '../../etc/passwd', '%00', '${jndi:x}'],
      // As long as the body limit allows.
      `rt1.${'A'.repeat(16_000)}`,
      `${token}${'\n'.repeat(7_000)}`,
    ]);
  });

  it('invariant 9: a forged bearer token is refused without a query', async () => {
    const { length: statementsBefore } = statements;
    const [header = '', claims = '', signature = ''] = pair.access_token.split('.');
    for (const token of [
      `${header}.${claims}.${signature.slice(0, -8)}AAAAAAAA`,
      `${header}.${claims.slice(0, -8)}AAAAAAAA.${signature}`,
      pair.refresh_token,
    ]) {
      expectProblem(await service.client.me(token), 'access_token_invalid');
      expectProblem(await service.client.logout({ accessToken: token }), 'access_token_invalid');
      expectProblem(await service.client.logoutAll(token), 'access_token_invalid');
    }
    expect(statements.slice(statementsBefore)).toEqual([]);
  });

  it.each([
    ['null', null],
    ['a number', 42],
    ['true', true],
    ['an array with the token', ['token']],
    ['an object', { refresh_token: 'token' }],
    ['nothing', undefined],
  ])('is a string: %s is not of the documented shape', async (_, value) => {
    const { length: statementsBefore } = statements;
    expectProblem(await service.client.post('/auth/refresh', { refresh_token: value }), 'validation_failed', [
      { field: 'refresh_token', message: 'must be a string' },
    ]);
    expect(statements.slice(statementsBefore)).toEqual([]);
  });

  it('stands in a body of its own: another member is not of the documented shape', async () => {
    const body = { refresh_token: pair.refresh_token, scope: 'all' };
    expectProblem(await service.client.post('/auth/refresh', body), 'validation_failed', [
      { field: 'scope', message: 'is not a member of this request' },
    ]);
  });

  it('is not read at all when it has a megabyte', async () => {
    const { length: statementsBefore } = statements;
    expectProblem(await service.client.refresh(`rt1.${'A'.repeat(1024 * 1024)}`), 'payload_too_large');
    expect(statements.slice(statementsBefore)).toEqual([]);
  });

  it('invariant 9: needs no database to be told from rubbish, where an authentic token does', async () => {
    proxy.refuse();
    await expectRefusedUnasked([`${pair.refresh_token.slice(0, -1)}A`, 'rubbish']);
    // Which of the two 503s depends on whether the service has noticed yet that its connections are gone.
    expect((await service.client.refresh(pair.refresh_token)).status).toBe(503);
    await proxy.resume();
  });

  it('has survived all of it: the token is good, and its exchange is the one statement that was sent', async () => {
    const { length: statementsBefore } = statements;
    await service.client.rotate(pair.refresh_token);
    expect(statements.slice(statementsBefore)).toHaveLength(1);
  });
});
