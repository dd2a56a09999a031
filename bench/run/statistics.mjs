/** @returns undefined for an empty list */
export function median(values) {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) {
    return undefined;
  }
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Returns the lowest and the highest too: of three repetitions they say more than a deviation. */
export function spread(values) {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : { median: median(known), low: Math.min(...known), high: Math.max(...known) };
}
