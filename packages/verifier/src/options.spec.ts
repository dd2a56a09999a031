import { describe, expect, it } from 'vitest';
import { readOptions, type VerifierOptions } from './options.js';

const COMMON = { issuer: 'https://auth.example.com', audience: 'orders' };
const OFF: VerifierOptions = { ...COMMON, revocations: 'off' };
const FOLLOW: VerifierOptions = { ...COMMON, revocations: 'follow', whenFeedIsStale: 'reject' };

describe('the options of a verifier', () => {
  it('take both addresses from the issuer, or from where it is reached', () => {
    expect(readOptions(FOLLOW)).toMatchObject({
      jwksUrl: 'https://auth.example.com/.well-known/jwks.json',
      following: { url: 'https://auth.example.com/auth/revocations', maxStalenessSeconds: 10 },
    });
    expect(readOptions({ ...FOLLOW, baseUrl: 'http://auth:3000/base/' })).toMatchObject({
      jwksUrl: 'http://auth:3000/base/.well-known/jwks.json',
      following: { url: 'http://auth:3000/base/auth/revocations' },
    });
    expect(readOptions(OFF).following).toBeUndefined();
  });

  it.each<[RegExp, object]>([
    [/issuer/, { issuer: '' }],
    [/audience/, { audience: undefined }],
    [/algorithms/, { algorithms: [] }],
    [/algorithms/, { algorithms: ['none'] }],
    [/revocations must/, { revocations: undefined }],
    [/whenFeedIsStale/, { whenFeedIsStale: undefined }],
    [/maxStalenessSeconds/, { maxStalenessSeconds: 1 }],
    [/maxStalenessSeconds/, { maxStalenessSeconds: 301 }],
    [/maxStalenessSeconds/, { maxStalenessSeconds: Number.NaN }],
    [/cookieOrigins/, { cookieName: 'ratchet-access' }],
    [/cookieOrigins/, { cookieName: 'ratchet-access', cookieOrigins: [] }],
    [/cookieOrigins/, { cookieName: 'ratchet-access', cookieOrigins: ['https://app.example.com/'] }],
    [/cookieOrigins/, { cookieName: 'ratchet-access', cookieOrigins: ['null'] }],
    [/cookieOrigins/, { cookieOrigins: ['https://app.example.com'] }],
    [/cookieName/, { cookieName: 'a b', cookieOrigins: ['https://app.example.com'] }],
    [/jwksUrl/, { issuer: 'ratchet' }],
    [/jwksUrl/, { jwksUrl: 'file:///etc/passwd' }],
    [/jwksUrl/, { baseUrl: 'https://user:password@auth.example.com' }],
    [/revocationsUrl/, { revocationsUrl: 'https://auth.example.com/auth/revocations?wait=0' }],
  ])('that cannot be meant are refused by name: %s', (name, difference) => {
    expect(() => readOptions({ ...FOLLOW, ...difference })).toThrow(name);
    expect(() => readOptions({ ...FOLLOW, ...difference })).toThrow(TypeError);
  });
});
