import { describe, expect, it } from 'vitest';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import type { Config } from '../platform/config/config.js';
import { CodeAttemptsService } from './code-attempts.service.js';
import { Counters, type StoredTake, type Taken } from './counter.js';

class LostCounters extends Counters {
  protected override takeStored(takes: readonly StoredTake[]): Promise<readonly Taken[]> {
    return Promise.resolve(takes.map(({ points }) => ({ isTaken: true, points, remainingSeconds: 1 })));
  }

  protected override changeStored(): Promise<void> {
    return Promise.reject(new Error('connection lost'));
  }

  protected override hasStored(): Promise<boolean> {
    return Promise.resolve(false);
  }

  protected override isUnavailable(): boolean {
    return true;
  }
}

describe('an attempt with a code whose counters are lost once it is judged', () => {
  const config = { limits: { isOn: true } } as Config;
  const attempts = new CodeAttemptsService(config, new LostCounters());

  it('is answered as it was judged, because a code that was right is used up', async () => {
    expect(
      await attempts.countAttempt(
        { kind: 'code', address: 'ada@example.com' },
        () => Promise.resolve('session'),
        () => false,
      ),
    ).toBe('session');
  });

  it('keeps the error of what judged it', async () => {
    const error = new TemporarilyUnavailableError('the database is away');
    await expect(
      attempts.countAttempt(
        { kind: 'code', address: 'ada@example.com' },
        () => Promise.reject(error),
        () => false,
      ),
    ).rejects.toBe(error);
  });
});
