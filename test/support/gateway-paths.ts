/**
 * How a client may write a request target so that a gateway reads one place and a backend `/admin`. Generated from parts, so
 * that each trick is tried in each position; always the same list.
 */
export const HOSTILE_TARGETS: readonly string[] = generate();

/** Targets of ordinary APIs, which mean one place to every reader. They reach a backend as the place that they name. */
export const ORDINARY_TARGETS = [
  '/orders',
  '/orders/',
  '/',
  '/orders/1?x=%2F',
  '/orders?next=/auth/login&path=../admin;x\\%00%zz//',
  '/orders/a%20b',
  '/orders/%C3%A9',
  '/orders/Diyarbak%C4%B1r',
  '/orders/%E6%97%A5%E6%9C%AC',
  '/orders/%F0%9F%A7%80',
  '/orders/a.b..c/.hidden/...',
  "/orders/~user/-_!$&'()*+,=:@",
  '/orders/tags/c%23',
  '/orders/what%3F',
  '/orders/a%2Bb%26c',
  '/orders/[1]|2^3',
  '/orders/2026-11-27T18:00:00.000Z',
  '/orders(1)',
  '/%6frders',
  '/ORDERS',
  '/orders/admin',
  '/orders/auth/login',
  `/orders/${'a'.repeat(4_096)}${'%20'.repeat(1_000)}`,
] as const;

/** Targets that a recipe refuses to everyone, before it looks at the token. */
export const AMBIGUOUS_TARGETS = [
  '//orders',
  '/orders//1',
  '/orders;v=1',
  '/orders;v=1/2',
  '/./orders',
  '/a/../orders',
  '/a/..',
  '/a/%2e%2e/orders',
  '/a/.%2E/orders',
  '/a/..;/orders',
  '/orders%5c1',
  '/orders%3b1',
  '/orders%252f1',
  '/orders/100%25',
  '/orders%0d%0ax-user-id:%20spoofed',
  '/auth/../orders',
  '/auth/%2e%2e/orders',
  '/.well-known/../orders',
  '/.well-known/acme-challenge/../../orders',
  '/orders%C0%AF1',
  '/orders//1?x',
] as const;

/** Targets that some gateways refuse by themselves, in a form of their own, and the recipes for the others as ambiguous. */
export const UNREADABLE_TARGETS = ['/orders%2f1', '/a%2f..%2forders', '/auth/..%2forders', '/orders%00'] as const;

/** What readers do with a path. */
const READERS: readonly ((path: string) => string)[] = [
  // Browsers and Node (WHATWG): `//x` is a host, a backslash is a slash, tabs are left out.
  (path) => resolve(path, 'http://backend/'),
  (path) => resolve(`http://backend${path}`),
  // Java cuts parameters off.
  (path) => path.replace(/;[^/]*/g, ''),
  // Some decode twice, or UTF-8 that is longer than it may be.
  (path) => path.replace(/%([0-9a-f]{2})/gi, (_escape, byte: string) => String.fromCharCode(parseInt(byte, 16))),
  (path) =>
    path.replace(
      /%(?:c0|e0%80|f0%80%80)%([ab][0-9a-f])/gi,
      (_overlong, byte: string) => `%${(parseInt(byte, 16) - 0x80).toString(16)}`,
    ),
  (path) => path.replace(/\/+/g, '/'),
  (path) => path.toLowerCase(),
];

const MOST_READERS = 4;

/**
 * Tells whether some backend takes the target for `/admin` or a place below, whose servers, proxies and frameworks are up to
 * four readers in any order.
 */
export function isProtected(target: string): boolean {
  const readings = new Set(target.split('?', 1));
  for (let count = 0; count < MOST_READERS; count += 1) {
    for (const reading of [...readings]) {
      READERS.forEach((read) => readings.add(read(reading)));
    }
  }
  return [...readings].some((reading) => /^\/admin(?:[/\s\0.?#;]|$)/.test(reading));
}

function resolve(path: string, base?: string): string {
  try {
    return new URL(path, base).pathname;
  } catch {
    return path;
  }
}

function generate(): string[] {
  const places = [
    'admin',
    'ADMIN',
    'aDmIn',
    '%61dmin',
    '%41dmin',
    'adm%69n',
    '%61%64%6d%69%6e',
    '%61%64%6D%69%6E',
    '%2561dmin',
    '%25%36%31dmin',
    '%252561dmin',
    '%zzadmin',
    '%4/../admin',
    'ad%09min',
    'ad\tmin',
    'ad%0amin',
    'ad%0d%0amin',
    'ad\x0bmin',
    'admin%20',
    'admin%00',
    'admin\0',
    'admin.',
    'admin%2e',
    'admin;x',
    'admin%3bx=1',
    'admin%253bx',
    ';x/admin',
    'admin#x',
    'admin%23x',
    'admin%3fx',
    'admin%c3%a9',
    'admin\xe9',
  ];
  const slashes = [
    '/',
    '//',
    '///',
    '\\',
    '/\\',
    '\\/',
    '\\\\',
    '%2f',
    '%2F',
    '/%2f',
    '%252f',
    '/%252f',
    '%5c',
    '/%5C',
    '/%255c',
    '%c0%af',
    '/%c0%af',
    '/%e0%80%af',
    '/;/',
    '/;x/',
    '/;x=1;y/',
    '/%3b/',
    '/%3B/',
    '/%253b/',
    '/./',
    '/%2e/',
    '/.;/',
    '/.%2f',
    '//x/',
    '/\\x/',
    '\\\\x/',
    '/%2fx/',
    '/%5cx/',
    '///x/',
    '//x:1/',
    '//u@x/',
    '/\t/',
    '/\t/x/',
    '/%09/',
    '/%0a/x/',
    '/ /',
    '/%20/../',
  ];
  const approaches = [
    '',
    '/orders/..',
    '/orders//..',
    '/orders/../.',
    '/orders/x/../..',
    '/orders/..;',
    '/orders/..;x=1',
    '/orders/..%3b',
    '/orders/..%253b',
    '/orders;x/..',
    '/orders/%2e%2e',
    '/orders/.%2E',
    '/orders/%2e.',
    '/orders/%252e%252e',
    '/orders/%25%32%65%25%32%65',
    '/orders/%c0%ae%c0%ae',
    '/orders%2f..',
    '/orders%252f..',
    '/orders%5c..',
    '/orders\\..',
    '/orders/.\t.',
    '/orders/.%09.',
    '/orders#/..',
    '/orders%23/..',
    '/orders%3f/..',
    '/orders%00/..',
    '/orders\xe9/..',
    '/%zz/..',
    '/%/..',
    '/%4/..',
    '/%u002e/..',
    '/..',
    '/../..',
    '..',
    '/auth/..',
    '/auth/%2e%2e',
    '/auth/login/../..',
    '/auth/..;',
    '/auth/..%2f.',
    '/oauth/..',
    '/.well-known/..',
    '/.well-known/jwks.json/../..',
    '/.well-known/acme-challenge/../..',
    '/.well-known/acme-challenge/x/..%2f..%2f..',
    '/.well-known/acme-challenge/..;/..',
    '/.well-known/acme-challenge/..%5c..',
    '/.well-known/security.txt/../..',
    '/.well-known/security.txt/..;/..;',
    '*',
    '*/..',
    '*/../..',
    'orders/..',
    '@x',
    'http:',
    'http:/',
    'http://x',
    'http://x/orders/..',
    'http://x/orders/..;',
    'HTTP://x',
    'https://x',
    'http://admin',
    'http://x:80',
    'http://u:p@x',
    'http:\\\\x',
    'file://',
  ];
  const ends = [
    '',
    '/',
    '/users',
    '//users',
    '%2fusers',
    '/..;/admin',
    '/../orders',
    '/%2e%2e/orders',
    '..',
    '?x=1',
    ';?x',
    '#/orders',
  ];
  return [
    ...new Set([
      ...someOf(approaches, slashes, (approach, slash) => `${approach}${slash}admin/users`),
      ...someOf(approaches, places, (approach, place) => `${approach}/${place}`),
      ...someOf(slashes, places, (slash, place) => `${slash}${place}/users`),
      ...slashes.flatMap((slash) => ends.map((end) => `${slash}admin${end}`)),
      ...places.flatMap((place) => ends.map((end) => `/${place}${end}`)),
    ]),
  ];
}

/** Joins a quarter of all pairs, which are spread evenly: all of them would take long. */
function someOf(
  starts: readonly string[],
  ends: readonly string[],
  join: (start: string, end: string) => string,
): string[] {
  return starts.flatMap((start, row) =>
    ends.filter((_end, column) => (row + column) % 4 === 0).map((end) => join(start, end)),
  );
}
