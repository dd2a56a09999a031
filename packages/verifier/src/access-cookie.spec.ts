import { describe, expect, it } from 'vitest';
import { readAccessToken } from './access-cookie.js';

const NAME = '__Host-Http-ratchet-access';
const OURS = 'https://app.example.com';
const COOKIE = { name: NAME, origins: [OURS] };

type Sent = Readonly<Record<string, string>>;

function read(headers: Sent, method = 'GET', cookie: typeof COOKIE | undefined = COOKIE): string | undefined {
  const results = [
    { rawHeaders: Object.entries(headers).flat(), method },
    { headers: new Headers(headers), method },
  ].map((request) => {
    try {
      return readAccessToken(request, cookie);
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(results[0]).toBe(results[1]);
  return results[0];
}

describe('the access cookie', () => {
  it('is read where there is no Authorization header, and not where no cookie is wanted', () => {
    const headers = { cookie: `theme=dark; ${NAME}=a.b.c`, origin: OURS };
    expect(read(headers)).toBe('a.b.c');
    expect(read({ ...headers, authorization: 'Bearer d' })).toBe('d');
    expect(read({ ...headers, authorization: 'Basic eDp5' })).toBe('access_token_missing');
    expect(readAccessToken({ rawHeaders: ['Cookie', 'a=b', 'Cookie', `${NAME}=a.b.c`, 'Origin', OURS] }, COOKIE)).toBe(
      'a.b.c',
    );
    expect(() => readAccessToken({ rawHeaders: Object.entries(headers).flat() }, undefined)).toThrow();
  });

  it.each([
    ['theme=dark', 'access_token_missing'],
    [NAME, 'access_token_missing'],
    [`${NAME.toLowerCase()}=a`, 'access_token_missing'],
    [`${NAME}=a; ${NAME}=a`, 'access_token_invalid'],
  ])('in %j is %s', (cookie, code) => {
    expect(read({ cookie, origin: OURS })).toBe(code);
  });

  it.each<[Sent, reads: boolean, changes: boolean]>([
    [{ origin: OURS }, true, true],
    [{ origin: OURS, 'sec-fetch-site': 'same-site' }, true, true],
    [{ origin: 'https://evil.example.com', 'sec-fetch-site': 'same-origin' }, false, false],
    [{ origin: 'null', 'sec-fetch-site': 'none' }, false, false],
    [{ 'sec-fetch-site': 'same-origin' }, true, false],
    [{ 'sec-fetch-site': 'none' }, true, false],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }, true, false],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, false, false],
    [{ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, false, false],
    [{}, false, false],
  ])('with %j authenticates what reads: %s, and what may change something: %s', (headers, reads, changes) => {
    const sent = { cookie: `${NAME}=a.b.c`, ...headers };
    for (const method of ['GET', 'HEAD']) {
      expect(read(sent, method)).toBe(reads ? 'a.b.c' : 'cross_site_request');
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'get']) {
      expect(read(sent, method)).toBe(changes ? 'a.b.c' : 'cross_site_request');
    }
    const withoutMethod = (): string => readAccessToken(new Headers(sent), COOKIE);
    if (changes) {
      expect(withoutMethod()).toBe('a.b.c');
    } else {
      expect(withoutMethod).toThrow('the access cookie came from elsewhere');
    }
  });
});
