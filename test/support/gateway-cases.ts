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
  'x-auth-acr',
  'x-auth-amr',
  'x-auth-time',
] as const;

const DEMANDS = ['x-require-role', 'x-require-acr', 'x-require-max-age'] as const;

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

/** How a client may spell an identity header of its own. */
export const HEADER_SPELLINGS: Readonly<Record<string, (header: string) => HeaderLines>> = {
  'as it is': (header) => [[header, SPOOFED]],
  'with underscores, and then another odd one': (header) => [
    [header.replaceAll('-', '_'), SPOOFED],
    ['a_b', ''],
  ],
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

/** From these frameworks take the client's address, the path, the method or a file. */
const MISLEADING_HEADERS = [
  'forwarded',
  'x-real-ip',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-path',
  'x-forwarded-prefix',
  'x-forwarded-uri',
  'x-forwarded-method',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
  'x-rewrite-url',
  'x-script-name',
  'script_name',
  'path_info',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-accel-redirect',
  'x-accel-mapping',
  'x-sendfile',
  'x-sendfile-type',
] as const;

/** Every mix of `-`, `_`, `.` and case in the headers that tell backends and Ratchet about a user. */
export const IDENTITY_SPELLINGS: readonly string[] = [...IDENTITY_HEADERS, ...DEMANDS].flatMap((header) =>
  separatedInEveryWay(header).flatMap(inEveryCase),
);

export const MISLEADING_SPELLINGS: readonly string[] = MISLEADING_HEADERS.flatMap(separatedInEveryWay);

function separatedInEveryWay(header: string): string[] {
  const [first = '', ...rest] = header.split('-');
  return rest.reduce((names, word) => names.flatMap((name) => ['-', '_', '.'].map((by) => name + by + word)), [first]);
}

function inEveryCase(header: string): string[] {
  return [
    header,
    header.toUpperCase(),
    header.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase()),
    header.replace(/[a-z](?=[a-z])/g, (letter, index: number) => (index % 2 === 0 ? letter : letter.toUpperCase())),
  ];
}
