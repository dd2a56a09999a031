const UNITS: readonly (readonly [name: RegExp, seconds: number])[] = [
  [/^(?:s|seconds?)$/, 1],
  [/^(?:min|minutes?)$/, 60],
  [/^(?:h|hours?)$/, 3_600],
  [/^(?:d|days?)$/, 86_400],
  [/^weeks?$/, 604_800],
];

/** Seconds, or a number with a unit: `'90 s'`, `'5 min'`, `'2 h'`, `'31 days'`, `'1 week'`. */
export type Duration = number | string;

/**
 * Reads a duration.
 *
 * @returns seconds
 * @throws TypeError that names what is accepted
 */
export function readSeconds(duration: Duration): number {
  if (typeof duration === 'number') {
    return requireSeconds(duration, duration);
  }
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]+)$/.exec(duration) ?? [];
  const [, seconds = Number.NaN] = UNITS.find(([name]) => name.test(unit)) ?? [];
  return requireSeconds(Number(amount) * seconds, duration);
}

function requireSeconds(seconds: number, duration: Duration): number {
  if (!Number.isFinite(seconds) || seconds < 0) {
    throw new TypeError(
      `@ratchet/testing: ${JSON.stringify(duration)} is no duration. It is a number of seconds, or a text such as ` +
        "'90 s', '5 min', '2 h', '31 days' or '1 week'.",
    );
  }
  return seconds;
}
