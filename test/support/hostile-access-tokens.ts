import { randomUUID, sign } from 'node:crypto';
import { OWN_KEYS, PEM, SECRETS_FROM_PUBLIC_KEY } from './hostile-keys.js';
import { base64url, compact, hmac, type TokenForge, withOtherSlackBits } from './token-forge.js';

/** A token that no verifier may accept; everything about it that is not said to be wrong is right. */
export interface HostileToken {
  /** Completes "a token with". */
  readonly kind: string;
  /** @param trapUrl of a server that must not be asked for a key */
  readonly make: (forge: TokenForge, trapUrl: string) => string;
}

type Row = readonly [kind: string, make: (forge: TokenForge, trapUrl: string) => string];

const NOW_SECONDS = Math.floor(Date.now() / 1000);
const LONGEST_LIFETIME_SECONDS = 3_600;
const YEAR_SECONDS = 365 * 86_400;

/** Close to what a token may have at most, so that the reader has to look into it. */
const LONG_CHARACTERS = 5_000;

/** No revocation would name a session that is spelt like this. */
const UPPER_CASE_UUID = 'ABCDEFAB-CDEF-4ABC-8DEF-ABCDEFABCDEF';

/** Under each key what its tokens have in common. */
export const HOSTILE_ACCESS_TOKENS: Readonly<Record<string, readonly HostileToken[]>> = {
  'an algorithm that is not the one of the key (RFC 8725 section 3.1)': rows([
    ...['none', 'None', 'NONE', 'nOnE', 'none ', ''].flatMap((alg): Row[] => [
      [`alg ${JSON.stringify(alg)} and no signature`, (forge) => unsigned(forge, { alg })],
      [`alg ${JSON.stringify(alg)} and two segments`, (forge) => unsigned(forge, { alg }).slice(0, -1)],
      [
        `alg ${JSON.stringify(alg)} and the genuine signature`,
        (forge): string => unsigned(forge, { alg }) + forge.segments.signature,
      ],
    ]),
    ...Object.entries(SECRETS_FROM_PUBLIC_KEY).flatMap(([what, secretOf]): Row[] =>
      ['HS256', 'ES256'].map((alg) => [
        `alg ${alg} and an HMAC under ${what}`,
        (forge): string => forge.withHeader({ alg }, hmac(secretOf(forge.publicKey))),
      ]),
    ),
    ...(['sha384', 'sha512'] as const).map((hash): Row => {
      const alg = hash.replace('sha', 'HS');
      return [
        `alg ${alg} and an HMAC under the PEM of the public key`,
        (forge): string => forge.withHeader({ alg }, hmac(PEM(forge.publicKey), hash)),
      ];
    }),
    ...['ES384', 'ES512', 'RS256', 'RS512', 'PS256', 'EdDSA', 'ES256K', 'es256', 'ES256 ', 'dir', 1, null, true].map(
      (alg): Row => [`alg ${JSON.stringify(alg)} over the genuine key`, (forge) => forge.withHeader({ alg })],
    ),
    ['a list of algorithms', (forge) => forge.withHeader({ alg: ['ES256'] })],
    ['no alg', (forge) => forge.withHeader({ alg: undefined })],
  ]),

  'a key that is not one of the service': rows([
    ...Object.entries(OWN_KEYS).flatMap(([alg, own]): Row[] => [
      [`${alg} by a key of its own, under the genuine key id`, (forge) => forge.withHeader({ alg }, own.signer)],
      [
        `${alg} by a key of its own, which it names`,
        (forge) => forge.withHeader({ alg, kid: randomUUID() }, own.signer),
      ],
      [
        `${alg} by a key of its own, which it brings along as jwk`,
        (forge): string => forge.withHeader({ alg, jwk: own.publicKey.export({ format: 'jwk' }) }, own.signer),
      ],
      [
        `${alg} by a key of its own, which it brings along as x5c`,
        (forge): string => {
          const der = own.publicKey.export({ type: 'spki', format: 'der' });
          return forge.withHeader({ alg, x5c: [der.toString('base64')] }, own.signer);
        },
      ],
      ...['jku', 'x5u'].map((member): Row => [
        `${alg} by a key of its own, which it points at with ${member}`,
        (forge, trapUrl): string =>
          forge.withHeader({ alg, kid: randomUUID(), [member]: `${trapUrl}/jwks.json` }, own.signer),
      ]),
    ]),
  ]),

  'a signature that the key did not make (RFC 8725 section 3.3)': rows([
    ['no signature', (forge) => forge.withSegments({ signature: '' })],
    [
      'another token’s claims',
      (forge) => forge.withSegments({ payload: base64url({ ...forge.claims, roles: ['admin'] }) }),
    ],
    ['its header members in another order', (forge) => forge.withSegments({ header: reordered(forge.header) })],
    ['a signature in DER', (forge) => forge.withSignature(derSignature(forge))],
    ['zeros for a signature', (forge) => forge.withSignature(Buffer.alloc(64))],
    ['ones for a signature', (forge) => forge.withSignature(Buffer.alloc(64, 0xff))],
    ['r = 0', (forge) => forge.withSignature(Buffer.concat([Buffer.alloc(32), raw(forge).subarray(32)]))],
    ['s = 0', (forge) => forge.withSignature(Buffer.concat([raw(forge).subarray(0, 32), Buffer.alloc(32)]))],
    ['one byte of signature', (forge) => forge.withSignature(Buffer.alloc(1))],
    ['a signature that lacks its last byte', (forge) => forge.withSignature(raw(forge).subarray(0, -1))],
    ['a signature that lacks its first byte', (forge) => forge.withSignature(raw(forge).subarray(1))],
    ['half a signature', (forge) => forge.withSignature(raw(forge).subarray(0, 32))],
    ['a byte behind its signature', (forge) => forge.withSignature(Buffer.concat([raw(forge), Buffer.alloc(1)]))],
    ['its signature twice', (forge) => forge.withSignature(Buffer.concat([raw(forge), raw(forge)]))],
    ['its signature turned around', (forge) => forge.withSignature(Buffer.from(raw(forge)).reverse())],
  ]),

  'a shape that is not three canonical segments of two objects': rows([
    ['one segment', (forge) => forge.segments.payload],
    ['two segments', (forge) => forge.genuine.split('.').slice(0, 2).join('.')],
    ['four segments', (forge) => `${forge.genuine}.${forge.segments.signature}`],
    ['an empty fourth segment', (forge) => `${forge.genuine}.`],
    ['an empty first segment', (forge) => `.${forge.genuine}`],
    ['no header', (forge) => forge.withSegments({ header: '' })],
    ['no claims', (forge) => forge.withSegments({ payload: '' })],
    ['dots only', () => '...'],
    ['one letter', () => 'x'],
    ['five segments, as a JWE has', (forge) => jwe(forge)],
    ['the flattened JSON serialisation', (forge) => JSON.stringify(flattened(forge))],
    ['the flattened JSON serialisation, encoded', (forge) => base64url(flattened(forge))],
    ['the general JSON serialisation, encoded', (forge) => base64url(general(forge))],
    ['a nested token', (forge) => compact({ ...forge.header, cty: 'JWT' }, forge.genuine, forge.signer)],
    ...['null', '[]', '"text"', '1', 'true', '{', '', ' '].flatMap((json): Row[] => [
      [`${JSON.stringify(json)} for a header`, (forge) => forge.withHeaderText(json)],
      [`${JSON.stringify(json)} for claims`, (forge) => forge.withClaimsText(json)],
    ]),
    ['padding behind its header', (forge) => forge.withSegments({ header: `${forge.segments.header}=` })],
    ['padding behind its signature', (forge) => `${forge.genuine}==`],
    ['other slack bits in its signature', (forge) => forge.withSegments({ signature: slack(forge) })],
    ['a line break within, percent-encoded', (forge) => forge.genuine.replace('.', '%0A.')],
    ['a space within', (forge) => forge.genuine.replace('.', ' .')],
    ['a tab within', (forge) => forge.genuine.replace('.', '\t.')],
    ['a comma and another one behind it', (forge) => `${forge.genuine},${forge.genuine}`],
    ['quotation marks around it', (forge) => `"${forge.genuine}"`],
    ['the alphabet of plain base64', (forge) => inPlainBase64(forge)],
    ['a header of 2000 nested lists', (forge) => forge.withHeader({ x: nested(2_000) })],
    ['roles of 2000 nested lists', (forge) => forge.withClaims({ roles: nested(2_000) })],
    [`${LONG_CHARACTERS} letters more in its header`, (forge) => forge.withHeader({ x: 'x'.repeat(LONG_CHARACTERS) })],
    ['9000 letters', () => 'A'.repeat(9_000)],
    ['9000 dots', () => '.'.repeat(9_000)],
  ]),

  'JSON that two readers could understand in two ways (RFC 8725 section 2.6)': rows([
    ...[
      ['alg', '"none"'],
      ['alg', '"ES256"'],
      ['typ', '"JWT"'],
      ['kid', '"other"'],
    ].flatMap(([member = '', value = '']): Row[] => [
      [
        `${member} ${value} first and its own after it`,
        (forge) => forge.withHeaderText(prepended(forge.header, member, value)),
      ],
      [`${member} ${value} after its own`, (forge) => forge.withHeaderText(appended(forge.header, member, value))],
    ]),
    ...[
      ['sub', `"${randomUUID()}"`],
      ['exp', '9999999999'],
      ['roles', '["admin"]'],
      ['aud', '"orders"'],
    ].flatMap(([member = '', value = '']): Row[] => [
      [
        `${member} ${value} first and its own after it`,
        (forge) => forge.withClaimsText(prepended(forge.claims, member, value)),
      ],
      [`${member} ${value} after its own`, (forge) => forge.withClaimsText(appended(forge.claims, member, value))],
    ]),
    [
      'a member twice, once with an escape in its name',
      (forge): string => forge.withHeaderText(appended(forge.header, '\\u006bid', '"other"')),
    ],
    ['white space in its header', (forge) => forge.withHeaderText(JSON.stringify(forge.header, undefined, 1))],
    ['white space in its claims', (forge) => forge.withClaimsText(JSON.stringify(forge.claims, undefined, 1))],
    ['a byte order mark', (forge) => forge.withClaimsText(`\ufeff${JSON.stringify(forge.claims)}`)],
  ]),

  'anything in its header but alg, typ and kid (RFC 8725 section 3.10)': rows([
    ...[
      { crit: ['exp'] },
      { crit: [] },
      { b64: false, crit: ['b64'] },
      { b64: false },
      { b64: true },
      { zip: 'DEF' },
      { enc: 'A256GCM' },
      { cty: 'JWT' },
      { x5t: 'x' },
      { 'x5t#S256': 'x' },
      { iss: 'http://localhost:3000' },
      { nonce: 'x' },
      { '': 1 },
    ].map((change): Row => [`${JSON.stringify(change)} more`, (forge) => forge.withHeader(change)]),
    ['a jwk beside the genuine key', (forge) => forge.withHeader({ jwk: forge.publicKey.export({ format: 'jwk' }) })],
    ...['jku', 'x5u', 'kid'].map((member): Row => [
      `a URL for ${member}`,
      (forge, trapUrl): string => forge.withHeader({ [member]: `${trapUrl}/${member}` }),
    ]),
    ['a prototype', (forge) => forge.withHeaderText(appended(forge.header, '__proto__', '{"kid":"x"}'))],
  ]),

  'a key id that names no key': rows(
    [
      'A'.repeat(43),
      '',
      ' ',
      '../../../../../../dev/null',
      '/etc/passwd',
      'file:///dev/null',
      "' or 1=1 --",
      "x' union select 'a', 'b', 'c' --",
      '; drop table signing_keys; --',
      '| /bin/true',
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'size',
      '0',
      '\u0000',
      'x'.repeat(LONG_CHARACTERS),
      0,
      1,
      true,
      null,
      undefined,
      [],
      {},
      { toString: 'x' },
    ].map((kid): Row => [`${shown(kid)} for a key id`, (forge) => forge.withHeader({ kid })]),
    [
      ['its key id in a list', (forge) => forge.withHeader({ kid: [forge.header['kid']] })],
      ['a space behind its key id', (forge) => forge.withHeader({ kid: `${String(forge.header['kid'])} ` })],
      ['a NUL behind its key id', (forge) => forge.withHeader({ kid: `${String(forge.header['kid'])}\u0000` })],
      ['its key id in capitals', (forge) => forge.withHeader({ kid: String(forge.header['kid']).toUpperCase() })],
    ],
  ),

  'a type of another purpose (RFC 9068 section 4)': rows(
    [
      'JWT',
      'jwt',
      'application/at+jwt',
      'AT+JWT',
      'at+jwt ',
      'at+jwt\u0000',
      'at',
      'rt+jwt',
      'refresh',
      'logout+jwt',
      'secevent+jwt',
      'id_token',
      'dpop+jwt',
      'JOSE',
      '',
      1,
      null,
      undefined,
      ['at+jwt'],
    ].map((typ): Row => [`${shown(typ)} for a type`, (forge) => forge.withHeader({ typ })]),
  ),

  'a life that is endless, too long, or no number': rows(
    [
      undefined,
      null,
      '',
      String(NOW_SECONDS + 60),
      'never',
      true,
      [],
      [NOW_SECONDS + 60],
      {},
      NOW_SECONDS + 60.5,
      1e308,
      Number.MAX_SAFE_INTEGER,
      2 ** 53,
    ].map((exp): Row => [`${shown(exp)} for an end`, (forge) => forge.withClaims({ exp })]),
    ['1e999', '-1e999', '0x7fffffff', `${NOW_SECONDS + 60}.0`, `${NOW_SECONDS + 60}.000000000000000001`].map(
      (exp): Row => [
        `the number ${exp} for an end`,
        (forge): string =>
          forge.withClaimsText(JSON.stringify(forge.claims).replace(/"exp":\d+/, () => `"exp":${exp}`)),
      ],
    ),
    [undefined, null, String(NOW_SECONDS), true, [], {}, NOW_SECONDS - 0.5, 0, -1].map((iat): Row => [
      `${shown(iat)} for a beginning`,
      (forge): string => forge.withClaims({ iat, exp: NOW_SECONDS + 60 }),
    ]),
    [
      ['a life of a second more than an hour', (forge) => forge.withClaims(life(0, LONGEST_LIFETIME_SECONDS + 1))],
      ['an end in a year', (forge) => forge.withClaims(life(0, YEAR_SECONDS))],
      ['a beginning after its end', (forge) => forge.withClaims(life(100, -40))],
      ['a beginning at its end', (forge) => forge.withClaims(life(60, 0))],
      ['a life of five minutes in a year', (forge) => forge.withClaims(life(YEAR_SECONDS, 300))],
      ['a life of five minutes in two hours', (forge) => forge.withClaims(life(7_200, 300))],
      ['nbf in the future', (forge) => forge.withClaims({ nbf: NOW_SECONDS + 3_000 })],
      ['nbf that is text', (forge) => forge.withClaims({ nbf: 'now' })],
    ],
  ),

  'an issuer or an audience that is not exactly the one of the service': rows(
    [undefined, null, '', 1, ['http://localhost:3000'], {}].map((iss): Row => [
      `${shown(iss)} for an issuer`,
      (forge): string => forge.withClaims({ iss }),
    ]),
    [undefined, null, '', 1, ['ratchet'], ['ratchet', 'orders'], ['orders', 'billing'], [], {}].map((aud): Row => [
      `${shown(aud)} for an audience`,
      (forge): string => forge.withClaims({ aud }),
    ]),
    (['iss', 'aud'] as const).flatMap((claim): Row[] => {
      const variations: readonly (readonly [string, (value: string) => string])[] = [
        ['a slash behind', (value) => `${value}/`],
        ['a space behind', (value) => `${value} `],
        ['a space in front', (value) => ` ${value}`],
        ['a letter behind', (value) => `${value}x`],
        ['capitals', (value) => value.toUpperCase()],
        ['a NUL behind', (value) => `${value}\u0000`],
        ['another name', () => 'https://evil.example'],
        ['all but the last letter', (value) => value.slice(0, -1)],
      ];
      return variations.map(([what, vary]) => [
        `${what} for ${claim}`,
        (forge): string => forge.withClaims({ [claim]: vary(String(forge.claims[claim])) }),
      ]);
    }),
  ),

  'claims that make no identity': rows(
    (['sub', 'sid', 'jti'] as const).flatMap((claim): Row[] =>
      [undefined, null, '', 1, true, [], {}, 'ada@example.com', "' or 1=1 --", '__proto__'].map((value) => [
        `${shown(value)} for ${claim}`,
        (forge): string => forge.withClaims({ [claim]: value }),
      ]),
    ),
    (['sub', 'sid', 'jti'] as const).flatMap((claim): Row[] => [
      [`${claim} in capitals, which no revocation names`, (forge) => forge.withClaims({ [claim]: UPPER_CASE_UUID })],
      [`${claim} in a list`, (forge) => forge.withClaims({ [claim]: [forge.claims[claim]] })],
    ]),
    [null, 'admin', 1, {}, { length: 1 }, ['admin', 1], [null], [['admin']]].map((roles): Row => [
      `${shown(roles)} for roles`,
      (forge): string => forge.withClaims({ roles }),
    ]),
  ),
};

/** The genuine key has signed them, in time once; now they are over. */
export const EXPIRED_ACCESS_TOKENS: readonly HostileToken[] = rows([
  ['an end at this second', (forge) => forge.withClaims(life(-300, 300))],
  ['an end a second ago', (forge) => forge.withClaims(life(-301, 300))],
  ['an end a year ago', (forge) => forge.withClaims(life(-YEAR_SECONDS, 300))],
  ['an end before the epoch', (forge) => forge.withClaims({ exp: -1 })],
  ['0 for an end', (forge) => forge.withClaims({ exp: 0 })],
]);

/** @param lifetimeSeconds from the beginning on */
function life(beginsInSeconds: number, lifetimeSeconds: number): { readonly iat: number; readonly exp: number } {
  const iat = Math.floor(Date.now() / 1000) + beginsInSeconds;
  return { iat, exp: iat + lifetimeSeconds };
}

function rows(...parts: readonly (readonly Row[])[]): readonly HostileToken[] {
  return parts.flat().map(([kind, make]) => ({ kind, make }));
}

/** Short enough for a title. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 10)}… (${text.length} characters)` : text;
}

function unsigned(forge: TokenForge, header: object): string {
  return compact({ ...forge.header, ...header }, forge.claims, () => Buffer.alloc(0));
}

/** r ‖ s. */
function raw(forge: TokenForge): Buffer {
  return Buffer.from(forge.segments.signature, 'base64url');
}

function derSignature(forge: TokenForge): Buffer {
  const { header, payload } = forge.segments;
  return sign('sha256', Buffer.from(`${header}.${payload}`), forge.privateKey);
}

function reordered(header: object): string {
  return base64url(Object.fromEntries(Object.entries(header).reverse()));
}

function slack(forge: TokenForge): string {
  return withOtherSlackBits(forge.segments.signature);
}

/** Has a signature of bytes that the two alphabets spell differently. */
function inPlainBase64(forge: TokenForge): string {
  return forge.withSegments({ signature: Buffer.alloc(64, 'fbff', 'hex').toString('base64').replace(/=+$/, '') });
}

function jwe({ header, segments }: TokenForge): string {
  const protectedHeader = base64url({ ...header, alg: 'dir', enc: 'A256GCM' });
  return [protectedHeader, '', 'AAAAAAAAAAAAAAAA', segments.payload, 'AAAAAAAAAAAAAAAAAAAAAA'].join('.');
}

function flattened({ segments }: TokenForge): object {
  return { payload: segments.payload, protected: segments.header, signature: segments.signature };
}

function general({ segments }: TokenForge): object {
  return { payload: segments.payload, signatures: [{ protected: segments.header, signature: segments.signature }] };
}

function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown;
}

function prepended(object: object, member: string, value: string): string {
  return JSON.stringify(object).replace('{', `{"${member}":${value},`);
}

function appended(object: object, member: string, value: string): string {
  return JSON.stringify(object).replace(/\}$/, `,"${member}":${value}}`);
}
