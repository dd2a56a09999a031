import { afterEach, describe, expect, it } from 'vitest';
import { fastify, type FastifyInstance } from 'fastify';
import { Clock } from '../common/clock.js';
import { createLogger } from '../logging/logger.js';
import { warnOfUntrustedForwarding } from './forwarded-for.warning.js';

class FakeClock extends Clock {
  nowMs = 0;

  override monotonicMs(): number {
    return this.nowMs;
  }
}

describe('warnOfUntrustedForwarding', () => {
  let instance: FastifyInstance | undefined;

  afterEach(async () => {
    await instance?.close();
  });

  it('warns at most once a minute', async () => {
    const warnings: string[] = [];
    const clock = new FakeClock();
    instance = fastify();
    const logger = createLogger({ level: 'warn', destination: { write: (line) => void warnings.push(line) } });
    warnOfUntrustedForwarding(instance, logger, clock);
    instance.get('/', () => 'answer');
    const address = await instance.listen({ host: '127.0.0.1', port: 0 });
    const request = async (): Promise<string> => {
      const response = await fetch(address, { headers: { 'x-forwarded-for': '203.0.113.9' } });
      return response.text();
    };

    await request();
    clock.nowMs = 59_999;
    await request();
    expect(warnings).toHaveLength(1);
    clock.nowMs = 60_000;
    await request();
    expect(warnings).toHaveLength(2);
  });
});
