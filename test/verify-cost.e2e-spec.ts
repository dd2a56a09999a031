import { beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccessTokenStrategy } from '../src/auth/access-tokens/access-token.strategy.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import type { TokenPair } from './support/test-client.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

describe('what a verified request costs', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy);
  let verifications: number;

  beforeAll(() => {
    const strategy = service.app.get(AccessTokenStrategy);
    const validate = strategy.validate.bind(strategy);
    strategy.validate = (claims: object): ReturnType<typeof validate> => {
      verifications += 1;
      return validate(claims);
    };
  });

  function ask(pair: Pick<TokenPair, 'access_token'>): Promise<Response> {
    return service.client.get('/auth/verify', pair.access_token);
  }

  it('one signature check per token, however often it comes, and no query at all', async () => {
    const pairs = [(await service.client.signUpAndIn()).pair, (await service.client.signUpAndIn()).pair];
    const statements = recordStatements(proxy);
    verifications = 0;
    for (const pair of pairs) {
      expect((await ask(pair)).status).toBe(200);
    }
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(pairs[index % 2]!)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(verifications).toBe(2);
    expect(statements).toEqual([]);
  });

  it('nothing that a logout would have to wait for: a cached token is refused at once', async () => {
    const { pair } = await service.client.signUpAndIn();
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    expect((await service.client.logout({ refreshToken: pair.refresh_token })).status).toBe(204);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    expect((await ask(pair)).status).toBe(401);
  });
});
