import { describe, expect, it } from 'vitest';
import { meetsAuthentication } from './authentication-demand.js';

const NOW = 2_000_000_000;

describe('meetsAuthentication', () => {
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
