import { beforeAll, describe, expect, it } from 'vitest';
import { describeHostileAccessTokens } from './support/hostile-access-tokens.suite.js';
import { expectProblem } from './support/problem.js';
import type { Account, TokenPair } from './support/test-client.js';
import { segmentsOf } from './support/token-forge.js';
import { useService } from './support/use-service.js';

describeHostileAccessTokens({ method: 'GET', path: '/auth/me', expectDenied: expectProblem });

describeHostileAccessTokens({
  method: 'GET',
  path: '/auth/verify/orders/1',
  expectDenied: ({ status, headers, text }, code) => {
    expect({ status, text, reason: headers['x-auth-error'] }).toEqual({ status: 401, text: '', reason: code });
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'www-authenticate': expect.stringMatching(/^Bearer /),
    });
  },
});

describe('two good tokens', () => {
  const { service } = useService();
  let ada: Account & { readonly pair: TokenPair };
  let bob: Account & { readonly pair: TokenPair };

  beforeAll(async () => {
    ada = await service.client.signUpAndIn();
    bob = await service.client.signUpAndIn();
  });

  it('are never taken for each other, however often and however close together both are seen', async () => {
    const asked = Array.from({ length: 100 }, (_, index) => (index % 3 === 0 ? ada : bob));
    const answers = await Promise.all(asked.map(({ pair }) => service.client.me(pair.access_token)));
    expect(answers.map(({ body }) => (body as Account).id)).toEqual(asked.map(({ id }) => id));
  });

  it('lend each other no segment, although each has just been accepted', async () => {
    const [of, and] = [segmentsOf(ada.pair.access_token), segmentsOf(bob.pair.access_token)];
    for (const token of [
      `${of.header}.${of.payload}.${and.signature}`,
      `${of.header}.${and.payload}.${of.signature}`,
      `${and.header}.${and.payload}.${of.signature}`,
    ]) {
      expect((await service.client.me(ada.pair.access_token)).status).toBe(200);
      expect((await service.client.me(bob.pair.access_token)).status).toBe(200);
      expectProblem(await service.client.me(token), 'access_token_invalid');
    }
  });
});
