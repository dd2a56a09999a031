import { describe, expect, it } from 'vitest';
import { readSeconds } from './duration.js';

describe('a duration', () => {
  it.each([
    [90, 90],
    [0, 0],
    [0.5, 0.5],
    ['90 s', 90],
    ['90s', 90],
    ['1 second', 1],
    ['1.5 minutes', 90],
    ['5 min', 300],
    ['2 h', 7_200],
    ['1 hour', 3_600],
    ['31 days', 2_678_400],
    ['1 d', 86_400],
    ['2 weeks', 1_209_600],
  ])('of %j is %d seconds', (duration, seconds) => {
    expect(readSeconds(duration)).toBe(seconds);
  });

  it.each([
    '',
    '31',
    'days',
    '31 fortnights',
    '-1 day',
    '1 day 2 h',
    '1 ss',
    '1 mins ',
    '1e3 s',
    -1,
    Number.NaN,
    Infinity,
  ])('of %j is refused with a list of what is accepted', (duration) => {
    expect(() => readSeconds(duration)).toThrow(
      `${JSON.stringify(duration)} is no duration. It is a number of seconds, or a text such as '90 s', '5 min', '2 h'`,
    );
  });
});
