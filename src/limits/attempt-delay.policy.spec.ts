import { describe, expect, it } from 'vitest';
import { attemptDelaySeconds } from './attempt-delay.policy.js';

describe('the delay after a wrong password', () => {
  it('doubles from half a minute to a quarter of an hour', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(attemptDelaySeconds)).toEqual([30, 60, 120, 240, 480, 900, 900]);
  });

  it('never passes a quarter of an hour, however long the attack lasts', () => {
    expect([100, 10_000, 2 ** 31].map(attemptDelaySeconds)).toEqual([900, 900, 900]);
  });
});
