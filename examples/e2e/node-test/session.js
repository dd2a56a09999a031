import { randomUUID } from 'node:crypto';

const ATTEMPTS = 3;

/** Exchanges a refresh token. When no answer arrives it asks again with the same key, and gets the same new token. */
export async function refresh(url, refreshToken) {
  const idempotencyKey = randomUUID();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetch(`${url}/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
        body: JSON.stringify({ refresh_token: refreshToken }),
      });
    } catch (error) {
      if (attempt === ATTEMPTS) {
        throw error;
      }
    }
  }
}
