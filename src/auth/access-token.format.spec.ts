import { describe, expect, it } from '@jest/globals';
import { readAccessTokenHeader, readIdentity } from './access-token.format.js';

const HEADER = { alg: 'ES256', typ: 'at+jwt', kid: 'key' };
const UUID = '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564';
const CLAIMS = { sub: UUID, sid: UUID, jti: UUID, iat: 1_000, exp: 1_300, roles: ['admin'] };

function tokenWith(header: unknown): string {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  return `${Buffer.from(text).toString('base64url')}.e30.AA`;
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
    const [header = ''] = tokenWith(HEADER).split('.');
    const longest = `${header}.${'A'.repeat(8_192 - header.length - 4)}.AA`;
    expect(longest).toHaveLength(8_192);
    expect(readAccessTokenHeader(longest)).toBeDefined();
    expect(readAccessTokenHeader(`${longest}AA`)).toBeUndefined();
  });
});

describe('readIdentity', () => {
  it('takes what the claims say', () => {
    expect(readIdentity({ ...CLAIMS, scope: 'admin', iss: 'x' })).toEqual({
      userId: UUID,
      sessionId: UUID,
      tokenId: UUID,
      roles: ['admin'],
      expiresAtSeconds: 1_300,
    });
  });

  it('allows an hour of life and not a second more', () => {
    expect(readIdentity({ ...CLAIMS, exp: 4_600 })).toBeDefined();
    expect(readIdentity({ ...CLAIMS, exp: 4_601 })).toBeUndefined();
    expect(readIdentity({ ...CLAIMS, exp: 1_000 })).toBeUndefined();
    expect(readIdentity({ ...CLAIMS, exp: 999 })).toBeUndefined();
  });

  it.each(['sub', 'sid', 'jti', 'iat', 'exp', 'roles'])('refuses a missing or a strange %s', (claim) => {
    for (const value of [undefined, null, '', {}, true, Number.POSITIVE_INFINITY, 1_200.5, UUID.toUpperCase()]) {
      expect(readIdentity({ ...CLAIMS, [claim]: value })).toBeUndefined();
    }
  });
});
