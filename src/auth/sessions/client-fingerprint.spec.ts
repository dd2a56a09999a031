import { describe, expect, it } from 'vitest';
import { describeClient, fingerprintOf, placeOf } from './client-fingerprint.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
const USER = '9b2f6c1e-6f0a-4c39-8f5e-0d4f1f2a7c11';
const home = { ipAddress: '203.0.113.7', userAgent: FIREFOX };

describe('the fingerprint of a client', () => {
  const print = (client: Partial<typeof home>, user = USER): string =>
    fingerprintOf(user, { ...home, ...client }).toString('hex');

  it('stays when a browser is updated or a household gets another /64', () => {
    expect(print({ userAgent: FIREFOX.replaceAll('145.0', '146.0.1') })).toBe(print({}));
    expect(print({ ipAddress: '2001:db8:1:aa01::1' })).toBe(print({ ipAddress: '2001:db8:1:aa02::2' }));
    expect(fingerprintOf(USER, home)).toHaveLength(32);
  });

  it('differs for another browser, another system, another network and another user', () => {
    const prints = [
      print({}),
      print({ userAgent: FIREFOX.replace('Firefox', 'Other') }),
      print({ userAgent: FIREFOX.replace('Linux', 'Windows') }),
      print({ ipAddress: '203.0.113.8' }),
      print({}, '1ad86469-cbef-47bc-9a9b-aad8f1f47c2b'),
      fingerprintOf(USER, { ipAddress: undefined, userAgent: undefined }).toString('hex'),
    ];
    expect(new Set(prints).size).toBe(prints.length);
  });
});

describe('the description of a client', () => {
  it.each([
    [FIREFOX, 'Firefox, Linux'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36', 'Chrome, Windows'],
    ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0', 'Edge, Windows'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1', 'Safari, iOS'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15', 'Safari, macOS'],
    ['Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36', 'Chrome, Android'],
    ['curl/8.11', 'unknown'],
    ['call +1 555 0100 at once: https://evil.example', 'unknown'],
    [undefined, 'unknown'],
  ])('of %j is %s', (userAgent, description) => {
    expect(describeClient({ userAgent })).toBe(description);
  });

  it('names the place as a network', () => {
    expect(placeOf(home)).toBe('203.0.113.7');
    expect(placeOf({ ipAddress: '2001:db8:1:aa01::1' })).toBe('2001:db8:1:aa00::/56');
    expect(placeOf({ ipAddress: undefined })).toBe('unknown');
  });
});
