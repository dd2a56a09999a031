import { describe, expect, it } from '@jest/globals';
import { RestartPolicy } from './restart.policy.js';

function failAgain(policy: RestartPolicy, times: number, isAnotherServing: boolean): (number | undefined)[] {
  return Array.from({ length: times }, () => policy.afterEnd(false, isAnotherServing));
}

describe('a worker that has ended', () => {
  it('is replaced at once when it had served for a while', () => {
    expect(new RestartPolicy().afterEnd(true, false)).toBe(0);
  });

  it('is replaced ever more slowly when it fails at its start, and given up when nobody serves', () => {
    expect(failAgain(new RestartPolicy(), 5, false)).toEqual([100, 200, 400, 800, undefined]);
  });

  it('is tried for ever while another one serves, every ten seconds at the latest', () => {
    expect(failAgain(new RestartPolicy(), 20, true)).toEqual([
      ...[100, 200, 400, 800, 1_600, 3_200, 6_400],
      ...Array<number>(13).fill(10_000),
    ]);
  });

  it('begins anew after a start that lasted', () => {
    const policy = new RestartPolicy();
    failAgain(policy, 4, false);
    policy.lasted();
    expect(failAgain(policy, 5, false)).toEqual([100, 200, 400, 800, undefined]);
  });
});
