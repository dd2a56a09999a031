import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { generateSigningKey, thumbprintOf } from './signing-key.generator.js';

describe('thumbprintOf', () => {
  it('gives the thumbprint of the example in RFC 7638 section 3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3' +
      'oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA' +
      'ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-' +
      'kEgU8awapJzKnqDKgw';
    expect(thumbprintOf({ kty: 'RSA', n, e: 'AQAB' })).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  it('covers every required member', () => {
    const key = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } as const;
    const thumbprints = [key, { ...key, crv: 'P-384' }, { ...key, x: 'z' }, { ...key, y: 'z' }].map(thumbprintOf);
    expect(new Set(thumbprints).size).toBe(4);
  });
});

describe('generateSigningKey', () => {
  it.each([
    ['ES256', ['crv', 'kty', 'x', 'y'], { namedCurve: 'prime256v1' }],
    ['RS256', ['e', 'kty', 'n'], { modulusLength: 2048 }],
  ] as const)('makes a new %s key each time, named by its public half', async (algorithm, members, details) => {
    const [first, second] = [await generateSigningKey(algorithm), await generateSigningKey(algorithm)];
    expect(first.kid).toBe(thumbprintOf(first.publicJwk));
    expect(second.kid).not.toBe(first.kid);
    expect(Object.keys(first.publicJwk).sort()).toEqual(members);
    expect(first.privateKey.asymmetricKeyDetails).toMatchObject(details);
    const ownPublicKey = createPublicKey(first.privateKey).export({ format: 'jwk' });
    expect(ownPublicKey).toEqual(first.publicJwk);
  });
});
