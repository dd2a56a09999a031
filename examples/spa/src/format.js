const BROWSERS = [
  [/Edg\//, 'Edge'],
  [/Firefox\//, 'Firefox'],
  [/Chrom(?:e|ium)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];
const SYSTEMS = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
];
const UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** A name that people recognise; it is what the browser says of itself, so nothing is decided by it. */
export function deviceOf(userAgent) {
  const nameIn = (table) => table.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1];
  const [browser, system] = [nameIn(BROWSERS), nameIn(SYSTEMS)];
  return browser === undefined
    ? (userAgent?.split('/')[0] ?? 'Unknown device')
    : `${browser}${system === undefined ? '' : ` on ${system}`}`;
}

/** @param time as the service writes it, RFC 3339 */
export function relativeTimeOf(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1_000;
  const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? [];
  return unit === undefined ? 'just now' : relative.format(Math.round(seconds / length), unit);
}
