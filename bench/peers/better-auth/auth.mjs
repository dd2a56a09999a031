import { hash, verify } from '@node-rs/argon2';
import { betterAuth } from 'better-auth';
import { jwt } from 'better-auth/plugins';
import pg from 'pg';

/** The same cost as Ratchet's, instead of scrypt; `memoryCost` is in KiB. */
const ARGON2ID = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/**
 * better-auth as its documentation sets it up, over a pg pool. Its own rate limiter and logger are off, as Ratchet's
 * limits are. Where there is a choice it is made in its favour:
 *
 * - the JWT plugin does not sign a token for every get-session as well (`disableSettingJwtHeader`);
 * - session and user come in one query (`experimental.joins`), as its guide to performance advises;
 * - `COOKIE_CACHE=on` keeps the session in a signed cookie, as the same guide advises: a session that has been ended
 *   stays good until that expires. An hour instead of the usual five minutes, because the generator stores no new
 *   cookies.
 */
export function createAuth() {
  const { DATABASE_URL, POOL_SIZE, COOKIE_CACHE } = process.env;
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) });
  const auth = betterAuth({
    baseURL: 'http://127.0.0.1',
    secret: process.env.BETTER_AUTH_SECRET,
    database: pool,
    experimental: { joins: true },
    session: { cookieCache: { enabled: COOKIE_CACHE === 'on', maxAge: 3_600 } },
    emailAndPassword: {
      enabled: true,
      password: {
        hash: (password) => hash(password, ARGON2ID),
        verify: ({ hash: stored, password }) => verify(stored, password),
      },
    },
    plugins: [jwt({ disableSettingJwtHeader: true, jwks: { keyPairConfig: { alg: 'ES256' } } })],
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
  });
  return { auth, pool };
}
