import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { ecdsa, hmac, type TokenForge } from './token-forge.js';

export type HeaderLines = readonly (readonly [name: string, value: string])[];

export const IDENTITY_HEADERS = [
  'x-user-id',
  'x-user-roles',
  'x-user-scope',
  'x-session-id',
  'x-token-id',
  'x-token-expires-at',
] as const;

/** What a client claims to be. */
export const SPOOFED = 'spoofed';

type Forgery = (forge: TokenForge) => string;

export const EXPIRED_TOKEN: Forgery = (forge) => forge.withClaims({ iat: 1_700_000_000, exp: 1_700_000_300 });

/** Tokens that are none, each made from a good one. */
export const BAD_TOKENS: Readonly<Record<string, Forgery>> = {
  'a token signed by another key': (forge) =>
    forge.withClaims({}, ecdsa(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)),
  'a token without a signature': (forge) => forge.withHeader({ alg: 'none' }, () => Buffer.alloc(0)),
  'a token signed with the public key': (forge) => {
    const pem = createPublicKey(forge.privateKey).export({ type: 'spki', format: 'pem' }).toString();
    return forge.withHeader({ alg: 'HS256' }, hmac(pem));
  },
  'a token of an unknown key': (forge) => forge.withHeader({ kid: 'unknown' }),
  'a token without a key id': (forge) => forge.withHeader({ kid: undefined }),
  'a token of another issuer': (forge) => forge.withClaims({ iss: 'https://elsewhere.example' }),
  'a token for another audience': (forge) => forge.withClaims({ aud: 'another' }),
  'a token of another type': (forge) => forge.withHeader({ typ: 'JWT' }),
  'a token without a type': (forge) => forge.withHeader({ typ: undefined }),
  'a token that never expires': (forge) => forge.withClaims({ exp: undefined }),
  'a token with an expiry of another kind': (forge) => forge.withClaims({ exp: 'never' }),
  'a token that lives too long': (forge) => forge.withClaims({ exp: 4_000_000_000 }),
  'a token with a critical extension': (forge) => forge.withHeader({ crit: ['b64'], b64: false }),
};

/** One and the same place, or another one, in spellings that programs read differently. */
export const PATHS = [
  '/orders',
  '/orders/',
  '//orders',
  '/orders//1',
  '/orders;v=1',
  '/orders;v=1/2',
  '/orders%2f1',
  '/orders%3f',
  '/%6frders',
  '/./orders',
  '/a/../orders',
  '/a/%2e%2e/orders',
  '/a/.%2E/orders',
  '/a%2f..%2forders',
  '/a/..;/orders',
  '/orders?next=/auth/login',
  '/orders/auth/login',
  '/orders%00',
  '/orders%0d%0ax-user-id:%20spoofed',
  '/auth/../orders',
  '/auth/..%2forders',
  '/auth/%2e%2e/orders',
  '/.well-known/../orders',
  '/ORDERS',
  `/orders/${'a'.repeat(4096)}`,
] as const;

/** Each of them is /admin to some backend. */
export const ADMIN_PATHS = [
  '/admin',
  '/admin/',
  '/admin/users',
  '/admin?x=1',
  '//admin/users',
  '/admin//users',
  '/admin;x=1/users',
  '/admin%2fusers',
  '/%61dmin/users',
  '/ADMIN/users',
  '/./admin/users',
  '/orders/../admin/users',
  '/orders/%2e%2e/admin/users',
  '/orders%2f..%2fadmin/users',
  '/orders/..;/admin/users',
  '/orders/..;x=1/admin/users',
  '/orders/..%3b/admin/users',
  '/orders/..%5cadmin/users',
  '/orders\\..\\admin/users',
  '/admin/../orders',
  '/admin/..%2forders',
  '/admin/%2e%2e/orders',
  '/admin%2f..%2forders',
  '/auth/../admin/users',
  '/auth/..%2fadmin/users',
] as const;

/** How a client may spell an identity header of its own. */
export const HEADER_SPELLINGS: Readonly<Record<string, (header: string) => HeaderLines>> = {
  'in lower case': (header) => [[header, SPOOFED]],
  'in upper case': (header) => [[header.toUpperCase(), SPOOFED]],
  'in mixed case': (header) => [[header.replace(/\b\w/g, (letter) => letter.toUpperCase()), SPOOFED]],
  'with underscores': (header) => [[header.replaceAll('-', '_'), SPOOFED]],
  'with one underscore': (header) => [[header.replace(/-(?=[^-]+$)/, '_'), SPOOFED]],
  'with underscores, and then another odd one': (header) => [
    [header.replaceAll('-', '_'), SPOOFED],
    ['a_b', ''],
  ],
  'with dots': (header) => [[header.replaceAll('-', '.'), SPOOFED]],
  twice: (header) => [
    [header, SPOOFED],
    [header, `${SPOOFED} again`],
  ],
  empty: (header) => [[header, '']],
  'empty and then not': (header) => [
    [header, ''],
    [header, SPOOFED],
  ],
  'listed in Connection': (header) => [
    [header, SPOOFED],
    ['Connection', header],
  ],
  'listed in Connection beside a word of its own': (header) => [['Connection', `keep-alive, ${header}`]],
  'in two Connection headers': (header) => [
    ['Connection', 'close'],
    ['Connection', header],
  ],
};

/** Read as it stands, or decoded, without parameters, with either slash, and with the dots resolved. */
export function couldBeAdmin(url: string): boolean {
  const [path = ''] = url.split('?', 1);
  const decoded = decodeLeniently(path).replaceAll('\\', '/');
  const withoutParameters = decoded.replace(/;[^/]*/g, '');
  return [path, decoded, withoutParameters, new URL(withoutParameters, 'http://x//').pathname]
    .map((reading) => reading.replace(/\/+/g, '/'))
    .some((reading) => /^\/admin/i.test(reading));
}

function decodeLeniently(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
