import { describe, expect, it } from 'vitest';
import { readBearerToken } from './bearer-token.js';

function codeOf(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('the bearer token of a request', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bEARER   a.b-c_d~e+f/g==', 'a.b-c_d~e+f/g=='],
    ['', 'access_token_missing'],
    ['Basic eDp5', 'access_token_missing'],
    ['Bearerabc', 'access_token_missing'],
    ['Bearer', 'access_token_invalid'],
    ['Bearer ', 'access_token_invalid'],
    ['Bearer a b', 'access_token_invalid'],
    ['Bearer a, Bearer b', 'access_token_invalid'],
    ['Bearer "a"', 'access_token_invalid'],
  ])('%j is %s', (value, expected) => {
    expect(codeOf(() => readBearerToken({ rawHeaders: ['Host', 'x', 'AUTHORIZATION', value] }))).toBe(expected);
    expect(codeOf(() => readBearerToken({ get: (name) => (name === 'authorization' ? value : null) }))).toBe(expected);
  });

  it('is missing without the header, even if another value looks like its name', () => {
    expect(codeOf(() => readBearerToken({ rawHeaders: ['x-name', 'authorization', 'Bearer abc', 'y'] }))).toBe(
      'access_token_missing',
    );
    expect(codeOf(() => readBearerToken(new Headers()))).toBe('access_token_missing');
  });

  it('is invalid when it comes twice', () => {
    const rawHeaders = ['Authorization', 'Bearer a', 'authorization', 'Basic b'];
    expect(codeOf(() => readBearerToken({ rawHeaders }))).toBe('access_token_invalid');
    const headers = new Headers({ authorization: 'Bearer a' });
    headers.append('authorization', 'Bearer a');
    expect(codeOf(() => readBearerToken(headers))).toBe('access_token_invalid');
  });
});
