import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NamespaceAnswer, TokenAnswer, TokenPairAnswer, UserAnswer } from '../packages/testing/src/contract.js';
import { claimsOf, codeOf, TestClient } from './support/test-client.js';
import { useRunner } from './support/test-kit.js';
import { headerOf } from './support/token-forge.js';

describe('a namespace of the test kit', () => {
  const kit = useRunner();
  let ns: NamespaceAnswer;
  let client: TestClient;

  beforeAll(async () => {
    ns = await kit.runner.must('PUT', '/n1', { config: { ACCESS_TOKEN_TTL_SECONDS: '60' } });
    client = new TestClient(ns.url);
  });

  beforeEach(() => kit.runner.must('POST', '/n1/reset'));

  async function makeUser(request: object = {}): Promise<UserAnswer> {
    const [user] = await kit.runner.must<readonly UserAnswer[]>('POST', '/n1/users', [request]);
    return user!;
  }

  async function mint(request: object): Promise<string> {
    return (await kit.runner.must<TokenAnswer>('POST', '/n1/tokens', request)).access_token;
  }

  it('signs its users in by their passwords, with their roles', async () => {
    const user = await makeUser({ roles: ['admin'], email: 'Ada@Example.com' });
    expect(user).toMatchObject({ email: 'ada@example.com', roles: ['admin'], status: 'active' });
    const pair = await client.signIn(user);
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: user.id, iss: ns.issuer, roles: ['admin'] });
  });

  it('mints a token that differs from that of a login in nothing but values', async () => {
    const user = await makeUser({ roles: ['admin'] });
    const { access_token: signedIn } = await client.signIn(user);
    const minted = await mint({ user_id: user.id });
    expect(headerOf(minted)).toEqual(headerOf(signedIn));
    const [one, other] = [minted, signedIn].map(claimsOf);
    expect(Object.keys(one!)).toEqual(Object.keys(other!));
    const values = {
      sid: expect.any(String),
      jti: expect.any(String),
      iat: expect.any(Number),
      exp: expect.any(Number),
    };
    expect(one).toEqual({ ...other, ...values });
    expect((await client.me(minted)).body).toMatchObject({ id: user.id });
  });

  it('refuses after a reset every token of before, and has no user of before', async () => {
    const user = await makeUser();
    const pair = await client.signIn(user);
    const minted = await mint({ user_id: user.id });
    await kit.runner.must('POST', '/n1/reset');
    const refusals = [
      await client.me(pair.access_token),
      await client.me(minted),
      await client.refresh(pair.refresh_token),
    ];
    expect(refusals.map(codeOf)).toEqual(['access_token_revoked', 'access_token_revoked', 'session_expired']);
    expect(codeOf(await client.login(user))).toBe('validation_failed');
    expect(codeOf(await client.login({ email: user.email, password: user.password }))).toBe('invalid_credentials');
  });

  it.each([
    ['live', 1, undefined],
    ['live', 7, undefined],
    ['ended', 1, 'session_revoked'],
    ['reused', 2, 'refresh_token_reused'],
    ['expired', 1, 'session_expired'],
    ['idle_expired', 3, 'session_expired'],
  ])('makes a session that is %s at generation %i', async (state, generation, code) => {
    const pair = await kit.runner.must<TokenPairAnswer>('POST', '/n1/sessions', { state, generation });
    const answer = await client.refresh(pair.refresh_token);
    expect(code === undefined ? answer.status : codeOf(answer)).toBe(code ?? 200);
  });

  afterAll(() => kit.runner.must('DELETE', '/n1'));
});
