/**
 * Mulberry32: numbers from 0 to 1, the same for the same seed everywhere. Small and fast; nothing secret comes from it.
 */
export function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Shuffles, so that the order of clients is not that of the rows: otherwise the rows of successive clients would share
 * a page of the table, and a statement for all of them would find no room there for the new versions.
 */
export function shuffled(items, seed = 1) {
  const random = randomOf(seed);
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}
