import { AccessTokenIssuer } from '../../src/auth/access-tokens/access-token.issuer.js';
import { DatabaseService } from '../../src/platform/database/database.service.js';
import { TokensService } from '../../src/tokens/tokens.service.js';
import type { TestDatabase } from './test-database.js';
import { TestFamily } from './test-family.js';
import type { TestService } from './test-service.js';

export interface OpenSession {
  readonly family: TestFamily;
  readonly accessToken: string;
}

/**
 * Many sessions of one user at once, made as a login makes them, except that no password is hashed, which is slow on
 * purpose.
 */
export async function openSessions(
  { app }: TestService,
  database: TestDatabase,
  userId: string,
  count: number,
): Promise<readonly OpenSession[]> {
  const [tokens, issuer] = [app.get(TokensService), app.get(AccessTokenIssuer)];
  const grants = await app.get(DatabaseService).transaction(async (transaction) => {
    const made = [];
    for (let index = 0; index < count; index += 1) {
      const user = { id: userId, roles: [] };
      const client = { ipAddress: undefined, userAgent: undefined };
      made.push((await tokens.createFamily(transaction, tokens.newFamily(userId), user, ['pwd'], client)).grant);
    }
    return made;
  });
  return Promise.all(
    grants.map(async (grant) => ({
      family: new TestFamily(database, grant.refreshToken),
      accessToken: (await issuer.issue(grant)).accessToken,
    })),
  );
}
