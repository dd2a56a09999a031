import { describe, expect, it } from 'vitest';
import { listOriginsOfOtherSites } from './cookie-sites.js';

describe('the site of a cookie origin', () => {
  it.each([
    ['https://auth.example.com', 'https://app.example.com', true],
    ['https://auth.example.com/tenant', 'https://example.com:8443', true],
    ['https://example.com', 'https://a.b.example.com', true],
    ['http://localhost:3000', 'http://localhost:5173', true],
    ['http://127.0.0.1:3000', 'http://127.0.0.1:5173', true],
    ['https://auth.example.com', 'https://example.org', false],
    ['https://auth.example.com', 'http://localhost:5173', false],
    ['http://127.0.0.1:3000', 'http://localhost:5173', false],
    ['http://127.0.0.1:3000', 'http://127.1.0.1:5173', false],
  ])('with the issuer %s, of %s is the same: %s', (issuer, origin, isSame) => {
    const accessTokens = { issuer, audience: 'api', algorithm: 'ES256' as const, ttlSeconds: 300 };
    const cookies = { origins: [origin], accessCookie: false };
    expect(listOriginsOfOtherSites({ accessTokens, cookies })).toEqual(isSame ? [] : [origin]);
  });
});
