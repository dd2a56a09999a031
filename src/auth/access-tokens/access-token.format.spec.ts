import { describe, expect, it } from 'vitest';
import { readAccessTokenHeader, readIdentity } from './access-token.format.js';

const HEADER = { alg: 'ES256', typ: 'at+jwt', kid: 'key' };
const UUID = '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564';
const CLAIMS = { aud: 'ratchet', sub: UUID, sid: UUID, jti: UUID, iat: 1_000, exp: 1_300, roles: ['admin'] };
const PROOF = { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], auth_time: 900 };
const NOW_SECONDS = 1_100;

function tokenWith(header: unknown, claims: unknown = {}): string {
  const [head, payload] = [header, claims].map((part) => {
    const bytes = typeof part === 'string' || Buffer.isBuffer(part) ? part : JSON.stringify(part);
    return Buffer.from(bytes as string).toString('base64url');
  });
  return `${head}.${payload}.AA`;
}

describe('readAccessTokenHeader', () => {
  it('reads the key id and the algorithm of a header as this service writes it', () => {
    expect(readAccessTokenHeader(tokenWith(HEADER))).toEqual({ kid: 'key', algorithm: 'ES256' });
    expect(readAccessTokenHeader(tokenWith({ ...HEADER, alg: 'RS256' }))).toEqual({ kid: 'key', algorithm: 'RS256' });
  });

  it.each<[string, unknown]>([
    ['an algorithm of another kind', { ...HEADER, alg: 'HS256' }],
    ['no algorithm', { typ: 'at+jwt', kid: 'key', cty: 'x' }],
    ['another type', { ...HEADER, typ: 'JWT' }],
    ['a key id that is no text', { ...HEADER, kid: 1 }],
    ['a member more', { ...HEADER, crit: [] }],
    ['a member less', { alg: 'ES256', typ: 'at+jwt' }],
    ['a list', [HEADER]],
    ['null', null],
    ['no JSON', '{'],
  ])('refuses %s', (_kind, header) => {
    expect(readAccessTokenHeader(tokenWith(header))).toBeUndefined();
  });

  it.each<[string, string | Buffer]>([
    ['a member twice', '{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"key"}'],
    ['a member twice, once escaped', '{"alg":"ES256","typ":"at+jwt","kid":"other","\\u006bid":"key"}'],
    ['white space', '{"alg":"ES256","typ":"at+jwt","kid":"key" }'],
    ['an escape that is not needed', '{"alg":"ES256","typ":"at\\u002bjwt","kid":"key"}'],
    ['a byte order mark', '\ufeff{"alg":"ES256","typ":"at+jwt","kid":"key"}'],
    ['bytes that are not UTF-8', Buffer.from('{"alg":"ES256","typ":"at+jwt","kid":"k\xff"}', 'latin1')],
  ])('refuses JSON with %s', (_kind, header) => {
    expect(readAccessTokenHeader(tokenWith(header))).toBeUndefined();
  });

  it.each<[string, string]>([
    ['a member twice', '{"roles":["admin"],"roles":[]}'],
    ['a member of a member twice', '{"a":{"b":1,"b":1}}'],
    ['a number in another spelling', '{"exp":1.3e3}'],
    ['a number beyond all numbers', '{"exp":1e999}'],
    ['a list', '[]'],
    ['no JSON', '{'],
  ])('refuses claims with %s', (_kind, claims) => {
    expect(readAccessTokenHeader(tokenWith(HEADER, claims))).toBeUndefined();
  });

  it('refuses what is not three segments of canonical base64url', () => {
    const [header = ''] = tokenWith(HEADER).split('.');
    const tokens = [
      '',
      header,
      `${header}.e30`,
      `${header}.e30.`,
      `${header}..AA`,
      `${header}.e30.AA.AA`,
      `${header}.e30.AA.`,
      `${header}.e30.AB`,
      `${header}.e30.A`,
      `${header}.e30.AA=`,
      `${header}.e30.A+`,
      `${header}.e30.AA `,
      ` ${header}.e30.AA`,
    ];
    for (const token of tokens) {
      expect({ token, header: readAccessTokenHeader(token) }).toEqual({ token, header: undefined });
    }
  });

  it('does not even look into a token of more than 8192 characters', () => {
    const longest = tokenWith(HEADER, { a: 'a'.repeat(6_091) });
    expect(longest).toHaveLength(8_192);
    expect(readAccessTokenHeader(longest)).toBeDefined();
    expect(readAccessTokenHeader(`${longest}AA`)).toBeUndefined();
  });
});

describe('readIdentity', () => {
  it('takes what the claims say', () => {
    expect(readIdentity({ ...CLAIMS, ...PROOF, scope: 'admin', iss: 'x' }, NOW_SECONDS)).toEqual({
      userId: UUID,
      sessionId: UUID,
      tokenId: UUID,
      roles: ['admin'],
      expiresAtSeconds: 1_300,
      acr: 'aal2',
      amr: ['pwd', 'otp', 'mfa'],
      authenticatedAtSeconds: 900,
    });
  });

  it('reads a token of an earlier version, which does not say what its sign-in proved, as the weakest and oldest', () => {
    expect(readIdentity(CLAIMS, NOW_SECONDS)).toMatchObject({ acr: 'aal1', amr: [], authenticatedAtSeconds: 0 });
  });

  it.each<[string, object]>([
    ['a class that is no text', { acr: 2 }],
    ['no class at all', { acr: null }],
    ['methods that are text', { amr: 'pwd' }],
    ['a method that is no text', { amr: [['pwd']] }],
    ['no methods at all', { amr: null }],
    ['a time of authentication that is text', { auth_time: '900' }],
    ['a time of authentication with a fraction', { auth_time: 900.5 }],
    ['a time of authentication of zero', { auth_time: 0 }],
    ['no time of authentication at all', { auth_time: null }],
  ])('refuses %s', (_what, claims) => {
    expect(readIdentity({ ...CLAIMS, ...claims }, NOW_SECONDS)).toBeUndefined();
  });

  it('allows an hour of life and not a second more', () => {
    expect(readIdentity({ ...CLAIMS, exp: 4_600 }, NOW_SECONDS)).toBeDefined();
    expect(readIdentity({ ...CLAIMS, exp: 4_601 }, NOW_SECONDS)).toBeUndefined();
    expect(readIdentity({ ...CLAIMS, exp: 1_000 }, NOW_SECONDS)).toBeUndefined();
    expect(readIdentity({ ...CLAIMS, exp: 999 }, NOW_SECONDS)).toBeUndefined();
  });

  it('allows no end of more than an hour from now, plus a minute in which clocks may differ', () => {
    expect(readIdentity({ ...CLAIMS, iat: 4_700, exp: 4_760 }, NOW_SECONDS)).toBeDefined();
    expect(readIdentity({ ...CLAIMS, iat: 4_700, exp: 4_761 }, NOW_SECONDS)).toBeUndefined();
  });

  it('takes one audience, not a list with it', () => {
    expect(readIdentity({ ...CLAIMS, aud: ['ratchet'] }, NOW_SECONDS)).toBeUndefined();
  });

  it('reads absent roles, and the empty list of versions that wrote one, as none', () => {
    for (const roles of [undefined, []]) {
      expect(readIdentity({ ...CLAIMS, roles }, NOW_SECONDS)).toMatchObject({ roles: [] });
    }
  });

  it.each([null, '', 'admin', {}, true, [1], [['admin']]])('refuses roles that are %j', (roles) => {
    expect(readIdentity({ ...CLAIMS, roles }, NOW_SECONDS)).toBeUndefined();
  });

  it.each(['sub', 'sid', 'jti', 'iat', 'exp'])('refuses a missing or a strange %s', (claim) => {
    for (const value of [undefined, null, '', {}, true, Number.POSITIVE_INFINITY, 1_200.5, UUID.toUpperCase()]) {
      expect(readIdentity({ ...CLAIMS, [claim]: value }, NOW_SECONDS)).toBeUndefined();
    }
  });
});
