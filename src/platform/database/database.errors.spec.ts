import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { isDatabaseUnavailable } from './database.errors.js';

const { resolve } = createRequire(import.meta.url);

describe('a database that is unavailable', () => {
  it.each([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
  ])('is known by what the driver says: %s', (text) => {
    const driver = [resolve('pg/lib/client.js'), resolve('pg-pool')].map((file) => readFileSync(file, 'utf8')).join();
    expect(driver).toContain(`new Error('${text}'`);
    expect(isDatabaseUnavailable(new Error(text))).toBe(true);
  });

  it('is not meant by another error', () => {
    expect(isDatabaseUnavailable(new Error('timeout of another kind'))).toBe(false);
    expect(isDatabaseUnavailable(new TypeError('x is not a function'))).toBe(false);
  });
});
