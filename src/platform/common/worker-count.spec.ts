import { describe, expect, it } from '@jest/globals';
import { coresPerWorker, workerCount } from './worker-count.js';

describe('the number of workers', () => {
  it('is what was asked for, or with `auto` one per core', () => {
    expect([workerCount({ count: 3 }, 8), workerCount({ count: 'auto' }, 8)]).toEqual([3, 8]);
  });

  it('divides the cores, and leaves every worker one', () => {
    const shares = ([1, 2, 3, 16, 'auto'] as const).map((count) => coresPerWorker({ count }, 8));
    expect(shares).toEqual([8, 4, 2, 1, 1]);
  });
});
