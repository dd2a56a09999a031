import { describe, expect, it } from 'vitest';
import { parseRequiredAuthentication } from './required-authentication.js';

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
});
