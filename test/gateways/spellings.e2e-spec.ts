import { describe, expect, it } from 'vitest';
import { HOSTILE_TARGETS, isProtected, ORDINARY_TARGETS } from '../support/gateway-paths.js';

describe('the spellings that gateways are tried with', () => {
  it('are /admin to some backend more than a thousand times, and an ordinary one never is', () => {
    expect(HOSTILE_TARGETS.filter(isProtected).length).toBeGreaterThan(1_000);
    expect(ORDINARY_TARGETS.filter(isProtected)).toEqual([]);
  });
});
