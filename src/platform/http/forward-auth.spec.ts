import { describe, expect, it } from 'vitest';
import { routeForwardAuth } from './forward-auth.js';

function routed(method: string, url: string): string {
  const request = { method, url };
  const path = routeForwardAuth(request);
  return `${request.method} ${path}`;
}

describe('the route of a request', () => {
  it.each([
    '/auth/verify',
    '/auth/verify/',
    '/auth/verify?access_token=x',
    '/auth/verify/orders/1?x=/auth/me',
    '/auth/verify/%zz',
    '/auth/verify/%2e%2e/me',
    '/auth/verify/../me',
    '/auth/verify//a;b=c/\\',
    `/auth/verify/${'a'.repeat(8192)}`,
  ])('is the gateway’s for %s, whatever the method', (url) => {
    expect(['GET', 'HEAD', 'OPTIONS', 'POST', 'PROPFIND'].map((method) => routed(method, url))).toEqual(
      Array(5).fill('GET /auth/verify'),
    );
  });

  it.each(['/auth/verifyx', '/auth/verify;x', '/auth', '/auth/me', '//auth/verify', '/x/auth/verify', '/', ''])(
    'is its own for %s',
    (url) => {
      expect(routed('POST', url)).toBe(`POST ${url}`);
    },
  );
});
