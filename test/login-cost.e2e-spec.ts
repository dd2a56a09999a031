import { describe, expect, it } from 'vitest';
import { readFile } from 'node:fs/promises';
import { recordStatements } from './support/statement-log.js';
import { startService } from './support/test-service.js';
import { useDatabase, useProxy } from './support/use-service.js';

const COUNT = /^with asked as .* insert into rate_limits/s;
const FIND_CREDENTIALS = /^select .* from users where email = \$1$/s;
const TAKE_BACK = /^with due as .* update rate_limits/s;
const OPEN_SESSION = [/^begin/, /^select .* for no key update$/s, /^with existing as materialized/, /^commit$/];

const WITHOUT_LIMITS = [FIND_CREDENTIALS, ...OPEN_SESSION];
const WITH_LIMITS = [COUNT, FIND_CREDENTIALS, TAKE_BACK, ...OPEN_SESSION];

describe('a successful login', () => {
  const proxy = useProxy(useDatabase());

  it.each([
    { rateLimits: 'off', expected: WITHOUT_LIMITS },
    { rateLimits: 'on', expected: WITH_LIMITS },
  ])('sends only the statements it needs with RATE_LIMITS=$rateLimits', async ({ rateLimits, expected }) => {
    const service = await startService({ url: proxy.url }, { RATE_LIMITS: rateLimits });
    try {
      const { email, password } = await service.client.signUp();
      const statements = recordStatements(proxy);
      expect((await service.client.login({ email, password })).status).toBe(200);
      expect(statements.map((statement) => statement.trim())).toEqual(
        expected.map((pattern): unknown => expect.stringMatching(pattern)),
      );
    } finally {
      await service.stop();
    }
  });

  it.each(['ARCHITECTURE.md', 'docs/benchmarks.md'])('has its number of statements right in %s', async (document) => {
    const text = await readFile(new URL(`../${document}`, import.meta.url), 'utf8');
    expect(text.replace(/\s+/g, ' ')).toContain(
      `${WITHOUT_LIMITS.length} statements with \`RATE_LIMITS=off\` and ${WITH_LIMITS.length} with the default`,
    );
  });
});
