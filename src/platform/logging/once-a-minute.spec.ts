import { describe, expect, it } from 'vitest';
import { Clock } from '../common/clock.js';
import { OnceAMinute } from './once-a-minute.js';

class FakeClock extends Clock {
  nowMs = 0;

  override monotonicMs(): number {
    return this.nowMs;
  }
}

describe('OnceAMinute', () => {
  it('tells the first event of a kind, and after a minute the next one, with how many it left out', () => {
    const clock = new FakeClock();
    const frequent = new OnceAMinute(clock);
    expect(frequent.tell('a')).toBe(0);
    expect([frequent.tell('a'), frequent.tell('a')]).toEqual([undefined, undefined]);
    expect(frequent.tell('b')).toBe(0);
    clock.nowMs = 59_999;
    expect(frequent.tell('a')).toBeUndefined();
    clock.nowMs = 60_000;
    expect(frequent.tell('a')).toBe(3);
    expect(frequent.tell('a')).toBeUndefined();
    clock.nowMs = 200_000;
    expect(frequent.tell('b')).toBe(0);
  });
});
