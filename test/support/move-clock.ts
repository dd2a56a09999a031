import type { TestDatabase } from './test-database.js';

/** Makes a session look as if everything in it had happened that much earlier. */
export async function ageSession(
  database: Pick<TestDatabase, 'sql'>,
  sessionId: string,
  bySeconds: number,
): Promise<void> {
  const aged = await database.sql(
    `update refresh_token_families
     set created_at = created_at - make_interval(secs => $2), rotated_at = rotated_at - make_interval(secs => $2),
         expires_at = expires_at - make_interval(secs => $2), revoked_at = revoked_at - make_interval(secs => $2),
         auth_time = auth_time - make_interval(secs => $2)
     where id = $1
     returning id`,
    [sessionId, bySeconds],
  );
  if (aged.length === 0) {
    throw new Error(`no session ${sessionId}`);
  }
}
