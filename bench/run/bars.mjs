import { latency } from './summary.mjs';

const MEGABYTE = 1e6;

/**
 * Compares the goals with the results. Rates are compared by their medians in the same run.
 *
 * @param rows of `summarise`
 * @returns {{bar: string, measured: string, isReached: boolean}[]} without those that this run did not measure
 */
export function compareWithBars(results, rows) {
  const rate = (target, operation) =>
    rows.find((row) => row.target === target && row.operation === operation)?.rate.median;
  const refresh = rate('ratchet', 'refresh');
  const verify = rate('ratchet', 'verify, many tokens');
  const ofRatchet = rows.filter(({ target }) => target === 'ratchet');
  const resident = Math.max(...ofRatchet.map(({ residentBytesAtEnd }) => residentBytesAtEnd ?? 0));
  const coldStart = ofRatchet.map(({ coldStartMs }) => coldStartMs).find((ms) => ms !== undefined);
  const storm = results.storm;
  const stormP99 = (which) => storm && latency(storm, (one) => one[which].latencyMs)?.p99;
  const rejectedP50 = storm && latency(storm, ({ login }) => login.rejectedMs)?.p50;
  const [small, large] = results.growth ?? [];
  const soak = results.soak;
  return [
    atLeast("refresh, of better-auth's exchange", 10, refresh, rate('better-auth', 'refresh')),
    atLeast('refresh, of one statement per refresh', 1.7, refresh, rate('ratchet-one-by-one', 'refresh')),
    atLeast('refresh, of the single-row statement alone', 0.5, refresh, rate('limit-rotation-single', 'refresh')),
    atLeast('verify (many tokens), of the empty route', 0.75, verify, rate('limit-empty-route', 'verify')),
    atLeast(
      'verify (few tokens), of the empty route',
      0.75,
      rate('ratchet', 'verify'),
      rate('limit-empty-route', 'verify'),
    ),
    atLeast('login, of Argon2id alone', 0.9, rate('ratchet', 'login'), rate('limit-argon2', 'login')),
    below('verify p99 in the login storm, at 500/s', 25, stormP99('verify'), 'ms'),
    below('refresh p99 in the login storm, at 100/s', 100, stormP99('refresh'), 'ms'),
    below('p50 of rejected logins in the storm', 20, rejectedP50, 'ms'),
    atLeast(
      `refresh at ${large?.size} families, of that at ${small?.size}`,
      0.9,
      large?.refreshRate,
      small?.refreshRate,
    ),
    below('resident memory at the end', 220, resident > 0 ? resident / MEGABYTE : undefined, 'MB'),
    below('cold start to the first token', 3_000, coldStart, 'ms'),
    below('growth of resident memory in the soak', 5, soak && (soak.lateBytes / soak.earlyBytes - 1) * 100, '%'),
  ].filter((comparison) => comparison !== undefined);
}

function atLeast(what, factor, value, of) {
  if (value === undefined || of === undefined) {
    return undefined;
  }
  const measured = value / of;
  return { bar: `${what}: ≥ ${factor} ×`, measured: `${measured.toFixed(2)} ×`, isReached: measured >= factor };
}

function below(what, most, value, unit) {
  return value === undefined || Number.isNaN(value)
    ? undefined
    : { bar: `${what}: < ${most} ${unit}`, measured: `${value.toFixed(1)} ${unit}`, isReached: value < most };
}
