/**
 * Returns how many header lines of a name a request has. Node keeps the first `Host` or `Authorization` of several and
 * drops the rest; only the raw list still shows them.
 *
 * @param rawHeaders names and values in turn, as Node's `rawHeaders`
 * @param lowerCaseName compared without regard to case
 */
export function countHeaderLines(rawHeaders: readonly string[], lowerCaseName: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName) {
      count += 1;
    }
  }
  return count;
}
