import { describe, expect, it } from 'vitest';
import { type AuthenticationDemand, requireAuthentication } from './authentication-demand.js';
import { toProblem } from './problem.js';
import { VerificationError } from './errors.js';

const NOW = new Date('2026-01-01T00:00:00Z');

function judge(acr: string, secondsAgo: number, demand: AuthenticationDemand): VerificationError | undefined {
  try {
    requireAuthentication({ acr, authenticatedAt: new Date(NOW.getTime() - secondsAgo * 1_000) }, demand, NOW);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return error as VerificationError;
  }
}

describe('a demand on how the user signed in', () => {
  it.each<[string, number, AuthenticationDemand, boolean]>([
    ['aal1', 1e6, {}, true],
    ['later', 1e6, {}, true],
    ['aal1', 10, { requireAcr: 'aal1' }, true],
    ['aal1', 10, { requireAcr: 'aal2' }, false],
    ['aal2', 10, { requireAcr: 'aal2' }, true],
    ['phr', 10, { requireAcr: 'aal2' }, true],
    ['aal2', 10, { requireAcr: 'phr' }, false],
    ['later', 10, { requireAcr: 'aal1' }, false],
    ['aal1', 300, { maxAgeSeconds: 300 }, true],
    ['aal1', 301, { maxAgeSeconds: 300 }, false],
    ['phr', 301, { requireAcr: 'aal2', maxAgeSeconds: 300 }, false],
    ['aal1', 10, { requireAcr: 'aal2', maxAgeSeconds: 300 }, false],
    ['aal2', 10, { requireAcr: 'aal2', maxAgeSeconds: 300 }, true],
  ])('of %s, %d s ago, against %j: %s', (acr, secondsAgo, demand, isMet) => {
    expect(judge(acr, secondsAgo, demand)?.code).toBe(isMet ? undefined : 'insufficient_user_authentication');
  });

  it('is not met by a token that does not say when its user signed in', () => {
    const silent = { acr: 'aal1', authenticatedAt: new Date(0) };
    for (const demand of [{ requireAcr: 'aal1' }, { maxAgeSeconds: Number.MAX_SAFE_INTEGER }] as const) {
      expect(() => {
        requireAuthentication(silent, demand, NOW);
      }).toThrow(expect.objectContaining({ code: 'insufficient_user_authentication', status: 401 }));
    }
  });

  it('is measured with the time of this machine by default', () => {
    const token = { acr: 'aal1', authenticatedAt: new Date() };
    expect(() => {
      requireAuthentication(token, { maxAgeSeconds: 3_600 });
    }).not.toThrow();
  });

  it.each([
    { requireAcr: 'aal3' as 'aal2' },
    { requireAcr: '' as 'aal2' },
    { maxAgeSeconds: 0 },
    { maxAgeSeconds: -1 },
    { maxAgeSeconds: 1.5 },
    { maxAgeSeconds: Number.NaN },
    { maxAgeSeconds: '300' as unknown as number },
  ])('that no token could meet is a mistake of the backend: %j', (demand) => {
    expect(() => {
      requireAuthentication({ acr: 'phr', authenticatedAt: NOW }, demand, NOW);
    }).toThrow(TypeError);
  });

  it.each<[AuthenticationDemand, string]>([
    [{ requireAcr: 'aal2', maxAgeSeconds: 300 }, ', acr_values="aal2", max_age=300'],
    [{ requireAcr: 'phr' }, ', acr_values="phr"'],
    [{ maxAgeSeconds: 60 }, ', max_age=60'],
  ])('tells the client in the challenge what to prove: %j', (demand, members) => {
    const { status, headers, body } = toProblem(judge('aal1', 1e6, demand)!);
    expect([status, body.code]).toEqual([401, 'insufficient_user_authentication']);
    expect(headers['www-authenticate']).toBe(
      `Bearer realm="ratchet", error="insufficient_user_authentication", error_description="${body.detail}"${members}`,
    );
  });
});
