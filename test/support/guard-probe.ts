import type { Response } from 'supertest';
import type { TestClient } from './test-client.js';

/**
 * Asks an instance what it thinks of an access token, at the cost of no query: a request that the guard lets pass fails
 * on its empty body (400).
 */
export function askGuard(client: TestClient, accessToken: string): Promise<Response> {
  return client.post('/auth/password', {}, { authorization: `Bearer ${accessToken}` });
}
