import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Siblings } from '../src/platform/common/siblings.js';
import { eventually } from './support/eventually.js';
import { ENDINGS, MAX_SESSIONS } from './support/session-endings.js';
import { sessionIdOf } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';

/** Siblings that have not heard an announcement before the test says so. */
class SlowSiblings implements Siblings {
  readonly told: string[] = [];
  private release: (() => void)[] = [];
  private listener: (sessionIds: readonly string[]) => void = () => undefined;

  join(listener: (sessionIds: readonly string[]) => void): void {
    this.listener = listener;
  }

  async announce(sessionIds: readonly string[]): Promise<void> {
    if (sessionIds.length > 0) {
      this.told.push(...sessionIds);
      await new Promise<void>((resolve) => this.release.push(resolve));
    }
  }

  hear(): void {
    this.release.splice(0).forEach((resolve) => {
      resolve();
    });
  }

  tell(sessionIds: readonly string[]): void {
    this.listener(sessionIds);
  }
}

describe('a process with siblings', () => {
  let database: TestDatabase;
  let service: TestService;
  const siblings = new SlowSiblings();

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await startService(database, { MAX_SESSIONS_PER_USER: String(MAX_SESSIONS) }, siblings);
  });

  afterAll(async () => {
    siblings.hear();
    await service.stop();
    await database.close();
  });

  it.each(ENDINGS)('invariant 4: acknowledges $name only when they know', async ({ end }) => {
    const account = await service.client.signUpAndIn();
    let isAcknowledged = false;
    const ended = end(service, account, account.pair).then((accessTokens) => {
      isAcknowledged = true;
      return accessTokens;
    });
    await eventually(() => siblings.told.includes(sessionIdOf(account.pair)), { withinMs: 10_000 });
    // An answer that did not wait would be there before these.
    expect((await service.client.me(account.pair.access_token)).status).toBe(401);
    expect((await service.client.me(account.pair.access_token)).status).toBe(401);
    expect(isAcknowledged).toBe(false);
    siblings.hear();
    await ended;
  });

  it('refuses the tokens of a session as soon as a sibling has told it of the end, before the database has', async () => {
    const { pair } = await service.client.signUpAndIn();
    siblings.tell([sessionIdOf(pair)]);
    expect((await service.client.me(pair.access_token)).status).toBe(401);
  });
});
