import { describe, expect, it } from 'vitest';
import { LONGEST_LIFETIME_SECONDS } from '../../../packages/verifier/src/access-token.format.js';
import { WINDOW_MS } from '../../../packages/verifier/src/revoked-sessions.js';
import { LONGEST_ACCESS_TOKEN_SECONDS, REVOCATION_WINDOW_SECONDS } from './access-token-lifetime.js';

describe('the longest life of an access token', () => {
  it('the verifier accepts tokens as long as the service issues them, and remembers ended sessions as long', () => {
    expect(LONGEST_LIFETIME_SECONDS).toBe(LONGEST_ACCESS_TOKEN_SECONDS);
    expect(WINDOW_MS).toBe(REVOCATION_WINDOW_SECONDS * 1_000);
  });
});
