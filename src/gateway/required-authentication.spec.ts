import { describe, expect, it } from 'vitest';
import { meetsAuthentication, parseRequiredAuthentication } from './required-authentication.js';

const NOW = 2_000_000_000;

describe('X-Require-Acr and X-Require-Max-Age', () => {
  it.each([
    ['aal2', undefined, { acr: 'aal2' }],
    [undefined, '300', { maxAgeSeconds: 300 }],
    [' phr ', ' 1 ', { acr: 'phr', maxAgeSeconds: 1 }],
    ['aal1', '999999999', { acr: 'aal1', maxAgeSeconds: 999_999_999 }],
  ])('%j and %j are read as %j', (acr, maxAge, demand) => {
    expect(parseRequiredAuthentication(acr, maxAge)).toEqual(demand);
  });

  it.each([
    ['aal1, aal2', '300, 60', { acr: 'aal2', maxAgeSeconds: 60 }],
    ['phr,aal1,aal2', '60,300,900', { acr: 'phr', maxAgeSeconds: 60 }],
    ['aal2,aal2', '5,5', { acr: 'aal2', maxAgeSeconds: 5 }],
  ])('of several, %j and %j, the strictest counts', (acr, maxAge, demand) => {
    expect(parseRequiredAuthentication(acr, maxAge)).toEqual(demand);
  });

  it.each(['', ' ', ',', 'aal2,', ',aal2', 'AAL2', 'aal3', 'aal2 phr', 'aal2|phr', '"aal2"', 'constructor', 'ä'])(
    '%j is no class, and no user meets it',
    (acr) => {
      expect(parseRequiredAuthentication(acr, undefined)).toBeUndefined();
    },
  );

  it.each(['', ' ', ',', '300,', '0', '-1', '+300', '3e2', '0x10', '03', '1.5', '5m', '1000000000', 'Infinity', '٣'])(
    '%j is no age, and no user meets it',
    (maxAge) => {
      expect(parseRequiredAuthentication(undefined, maxAge)).toBeUndefined();
      expect(parseRequiredAuthentication('aal1', `300,${maxAge}`)).toBeUndefined();
    },
  );

  it.each([
    ['aal2', 10, { acr: 'aal2' }, true],
    ['phr', 10, { acr: 'aal2' }, true],
    ['aal1', 10, { acr: 'aal2' }, false],
    ['aal9', 10, { acr: 'aal1' }, false],
    ['aal1', 300, { maxAgeSeconds: 300 }, true],
    ['aal1', 301, { maxAgeSeconds: 300 }, false],
    ['phr', 301, { acr: 'aal2', maxAgeSeconds: 300 }, false],
    ['aal1', 1, { acr: 'aal2', maxAgeSeconds: 300 }, false],
    ['aal2', 1, { acr: 'aal2', maxAgeSeconds: 300 }, true],
    ['aal1', -1, { maxAgeSeconds: 1 }, true],
  ] as const)('%s of %d s ago against %j: %s', (acr, ageSeconds, demand, expected) => {
    const identity = { acr, authenticatedAtSeconds: NOW - ageSeconds };
    expect(meetsAuthentication(identity, demand, NOW)).toBe(expected);
  });

  it('nothing is met by a token that does not tell when its user signed in', () => {
    const silent = { acr: 'phr', authenticatedAtSeconds: 0 };
    expect(meetsAuthentication(silent, { acr: 'aal1' }, NOW)).toBe(false);
    expect(meetsAuthentication(silent, { maxAgeSeconds: 999_999_999 }, NOW)).toBe(false);
  });
});
