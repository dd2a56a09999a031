/** How long the row of an instance that has ended without a word stays. */
const KEPT_SECONDS = 3_600;

/**
 * Writes the row of this instance. Its commit waits for the synchronous standby, if there is one, whatever the server's
 * default; behind a predecessor that still waits it gives up.
 *
 * $1 instance id, $2 host, $3 version
 */
export function heartbeatText(history: string): string {
  return `
    insert into instances (id, host, version, started_at, seen_at, history)
    select $1, $2, $3, clock_timestamp(), clock_timestamp(), ${history}
    where set_config('synchronous_commit', 'on', true) is not null and set_config('lock_timeout', '4s', true) is not null
    on conflict (id) do update set seen_at = excluded.seen_at, history = excluded.history
    returning history`;
}

export const FORGET_INSTANCE = 'delete from instances where id = $1';

export const FORGET_SILENT_INSTANCES = `
  delete from instances where seen_at < now() - make_interval(secs => ${KEPT_SECONDS})`;
