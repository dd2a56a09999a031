import { expect } from 'vitest';
import type { Response } from 'supertest';
import { eventually } from './eventually.js';
import type { TestService } from './test-service.js';

/** What every other instance is promised. */
export const BOUND_MS = 1_000;

/** Asks as a gateway does. */
export function askVerify({ client }: Pick<TestService, 'client'>, accessToken: string): Promise<Response> {
  return client.get('/auth/verify', accessToken);
}

export async function expectLetThrough(service: TestService, accessToken: string): Promise<void> {
  expect((await askVerify(service, accessToken)).status).toBe(200);
}

export async function expectDenied(service: TestService, accessTokens: readonly string[]): Promise<void> {
  for (const token of accessTokens) {
    const { status, headers } = await askVerify(service, token);
    expect([status, headers['x-auth-error']]).toEqual([401, 'access_token_revoked']);
  }
}

/** Each is denied within the bound, counted from now, and stays so. */
export async function expectDeniedInTime(service: TestService, accessTokens: readonly string[]): Promise<void> {
  await Promise.all(
    accessTokens.map((token) =>
      eventually(async () => (await askVerify(service, token)).status === 401, { withinMs: BOUND_MS }),
    ),
  );
  await expectDenied(service, accessTokens);
}
