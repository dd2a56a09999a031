import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fastify, type FastifyInstance } from 'fastify';
import { Clock } from '../common/clock.js';
import { createLogger } from '../logging/logger.js';
import { OnceAMinute } from '../logging/once-a-minute.js';
import { readForwardedFor } from './forwarded-for.js';

class FakeClock extends Clock {
  nowMs = 0;

  override monotonicMs(): number {
    return this.nowMs;
  }
}

describe('X-Forwarded-For', () => {
  let instance: FastifyInstance | undefined;
  let warnings: string[];
  let clock: FakeClock;

  beforeEach(() => {
    warnings = [];
    clock = new FakeClock();
  });

  afterEach(async () => {
    await instance?.close();
  });

  async function serve(trustProxy: string[] | false): Promise<(forwardedFor: string) => Promise<string>> {
    instance = fastify({ trustProxy });
    const logger = createLogger({ level: 'warn', destination: { write: (line) => void warnings.push(line) } });
    readForwardedFor(instance, logger, new OnceAMinute(clock));
    instance.get('/', (request) => request.ip);
    const address = await instance.listen({ host: '127.0.0.1', port: 0 });
    return async (forwardedFor) => {
      const response = await fetch(address, { headers: { 'x-forwarded-for': forwardedFor } });
      return response.text();
    };
  }

  it('of a peer that is not trusted is ignored with a warning, at most once a minute', async () => {
    const request = await serve(false);
    expect(await request('203.0.113.9')).toBe('127.0.0.1');
    clock.nowMs = 59_999;
    await request('203.0.113.9');
    expect(warnings).toEqual([expect.stringContaining('not in TRUSTED_PROXIES')]);
    clock.nowMs = 60_000;
    await request('203.0.113.9');
    expect(warnings).toHaveLength(2);
  });

  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:51514', '203.0.113.9'],
    ['[2001:db8::9]:51514', '2001:db8::9'],
    ['[2001:db8::9]', '2001:db8::9'],
    ['"[2001:db8::9]:443"', '2001:db8::9'],
    ['2001:db8::9', '2001:db8::9'],
    ['198.51.100.1, 203.0.113.9:51514, 10.0.0.5:3344', '203.0.113.9'],
    ['garbage, 203.0.113.9:1', '203.0.113.9'],
  ])('%s names the client %s, with or without a port', async (forwardedFor, client) => {
    const request = await serve(['127.0.0.1', '10.0.0.0/8']);
    expect(await request(forwardedFor)).toBe(client);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['unknown', '127.0.0.1'],
    ['198.51.100.1, _hidden', '127.0.0.1'],
    ['198.51.100.1, 203.0.113.999:1, 10.0.0.5', '10.0.0.5'],
  ])('%s, which names no client, counts under the nearest proxy that is known', async (forwardedFor, client) => {
    const request = await serve(['127.0.0.1', '10.0.0.0/8']);
    expect(await request(forwardedFor)).toBe(client);
    await request(forwardedFor);
    expect(warnings).toEqual([expect.stringContaining('"event":"forwarded_for_unreadable"')]);
  });
});
