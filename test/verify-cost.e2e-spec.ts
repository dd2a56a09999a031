import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccessTokenStrategy } from '../src/auth/access-tokens/access-token.strategy.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import type { TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';

describe('what a verified request costs', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let service: TestService;
  let verifications: number;

  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await PostgresProxy.start(database.url);
    service = await startService({ url: proxy.url });
    const strategy = service.app.get(AccessTokenStrategy);
    const validate = strategy.validate.bind(strategy);
    strategy.validate = (claims: object): ReturnType<typeof validate> => {
      verifications += 1;
      return validate(claims);
    };
  });

  afterAll(async () => {
    await service.stop();
    await proxy.close();
    await database.close();
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

  it('nothing that a logout would have to wait for: a token that is known by heart is refused at once', async () => {
    const { pair } = await service.client.signUpAndIn();
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    expect((await service.client.logout({ refreshToken: pair.refresh_token })).status).toBe(204);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    expect((await ask(pair)).status).toBe(401);
  });
});
