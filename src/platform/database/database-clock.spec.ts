import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Clock } from '../common/clock.js';
import { Readiness } from '../common/readiness.js';
import type { Config } from '../config/config.js';
import { DatabaseClock } from './database-clock.js';

const DATABASE_SECONDS = 1_800_000_000;
const DATABASE_MS = DATABASE_SECONDS * 1_000;

let wallMs: number;
let monotonicMs: number;
let readiness: Readiness;
let told: string[];
let clock: DatabaseClock;

beforeEach(() => {
  wallMs = DATABASE_MS;
  monotonicMs = 1_000;
  told = [];
  const note = (line: unknown): void => {
    told.push((line as { event: string }).event);
  };
  vi.spyOn(Logger.prototype, 'warn').mockImplementation(note);
  vi.spyOn(Logger.prototype, 'log').mockImplementation(note);
  readiness = new Readiness();
  const process: Clock = { now: () => new Date(wallMs), monotonicMs: () => monotonicMs };
  clock = new DatabaseClock(process, readiness, { accessTokens: { ttlSeconds: 300 } } as Config);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** The database answers at once, by a clock that the instance's is so many seconds ahead of. */
function learn({ aheadSeconds }: { readonly aheadSeconds: number }): void {
  wallMs = DATABASE_MS + aheadSeconds * 1_000;
  clock.learn(DATABASE_MS, monotonicMs, monotonicMs);
}

describe('DatabaseClock', () => {
  it("tells the instance's time until the database has answered", () => {
    expect([clock.nowSeconds(), clock.offsetSeconds()]).toEqual([wallMs / 1_000, 0]);
  });

  it('tells the time of the database while it passes, also when the clock of the instance jumps', () => {
    learn({ aheadSeconds: -40 });
    monotonicMs += 1_500;
    wallMs += 3_600_000;
    expect(clock.nowSeconds()).toBe(DATABASE_SECONDS + 1.5);
    expect(clock.offsetSeconds()).toBe(3_600 - 40 - 1.5);
  });

  it('takes the middle of the first question and its answer', () => {
    clock.learn(DATABASE_MS, 1_000, 1_400);
    monotonicMs = 1_200;
    expect(clock.nowSeconds()).toBe(DATABASE_SECONDS);
  });

  it('keeps what a fast answer told when a slow one says no better, and follows one that contradicts', () => {
    clock.learn(DATABASE_MS, 1_000, 1_002);
    monotonicMs = 3_001;
    clock.learn(DATABASE_MS + 1_900, 1_001, 3_001);
    expect(clock.nowSeconds()).toBe(DATABASE_SECONDS + 2);
    clock.learn(DATABASE_MS - 60_000, 3_001, 3_001);
    expect(clock.nowSeconds()).toBe(DATABASE_SECONDS - 60);
  });

  it('warns once when the clocks differ by more than 5 s either way, and says once when they agree again', () => {
    for (const aheadSeconds of [4.9, 5, 5.1, 300, -4.5, 5.1, 3.9, 4.9, -5.1, -300, 0]) {
      learn({ aheadSeconds });
    }
    expect(told).toEqual(['clock_offset', 'clock_restored', 'clock_offset', 'clock_restored']);
  });

  it('makes the instance unready while the clocks differ by more than half the life of an access token', () => {
    learn({ aheadSeconds: -150 });
    expect(readiness.findObstacle()).toBeUndefined();
    learn({ aheadSeconds: -151 });
    expect(readiness.findObstacle()).toBe('the clocks of this instance and of the database differ by -151.0 s');
    learn({ aheadSeconds: 151 });
    expect(readiness.findObstacle()).toContain('151.0 s');
    learn({ aheadSeconds: 0 });
    expect(readiness.findObstacle()).toBeUndefined();
  });
});
