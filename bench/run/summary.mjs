import { median, spread } from './statistics.mjs';

/**
 * Returns one row per target and operation: medians over the repetitions, with lowest and highest.
 *
 * @returns in the order in which they were first measured in the first repetition
 */
export function summarise(measurements) {
  const groups = new Map();
  for (const measurement of measurements) {
    const key = `${measurement.target} ${measurement.operation}`;
    groups.set(key, [...(groups.get(key) ?? []), measurement]);
  }
  return [...groups.values()].map((group) => {
    const { target, title, operation, isLimit } = group[0];
    const middle = (pick) => median(group.map(pick));
    return {
      target,
      title,
      operation,
      isLimit,
      rate: spread(group.map(({ rate }) => rate)),
      openLatencyMs: latency(group, ({ open }) => open?.latencyMs),
      latenessMs: latency(group, ({ open }) => open?.latenessMs),
      offeredRate: middle(({ open }) => open?.offeredRate),
      serverCpuMs: middle(({ serverCpuMs }) => serverCpuMs),
      postgresCpuMs: middle(({ postgresCpuMs }) => postgresCpuMs),
      generatorCores: middle(({ generatorCores }) => generatorCores),
      residentBytes: middle(({ residentBytes }) => residentBytes),
      residentBytesAtEnd: Math.max(...group.map(({ residentBytesAtEnd }) => residentBytesAtEnd ?? 0)) || undefined,
      coldStartMs: middle(({ coldStartMs }) => coldStartMs),
      errors: sumErrors(group.flatMap(({ errors, open }) => [errors, open?.errors])),
    };
  });
}

/** Each percentile's median over the repetitions. */
export function latency(group, pick) {
  const known = group.map(pick).filter((value) => value !== undefined);
  if (known.length === 0) {
    return undefined;
  }
  return Object.fromEntries(Object.keys(known[0]).map((name) => [name, median(known.map((values) => values[name]))]));
}

export function sumErrors(all) {
  return all.reduce((sum, errors) => sum + Object.values(errors ?? {}).reduce((a, b) => a + b, 0), 0);
}
