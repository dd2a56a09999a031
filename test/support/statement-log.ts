import type { PostgresProxy } from './postgres-proxy.js';

/** What an instance sends of its own accord: the revocation feed's polls, heartbeats, the signing keys, the clean-up of each minute, and what sends mails. */
const BACKGROUND_STATEMENT =
  /^listen |pg_control_system|(?:insert into|delete from) instances|from refresh_token_families\s+where revoked_xid >=|left join signing_keys|^\s*with expired as materialized|(?:update|delete from) outgoing_mails/;

/** Every statement that passes the proxy from now on, except these: what requests cost, as the wire shows it. */
export function recordStatements(proxy: PostgresProxy): readonly string[] {
  const statements: string[] = [];
  proxy.cutWhen((statement) => {
    if (!BACKGROUND_STATEMENT.test(statement)) {
      statements.push(statement);
    }
    return undefined;
  });
  return statements;
}
