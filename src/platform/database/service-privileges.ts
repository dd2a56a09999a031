import type { Client } from 'pg';

/** A privilege on a table, or on some of its columns only. */
export interface TablePrivilege {
  readonly table: string;
  readonly privilege: 'select' | 'insert' | 'update' | 'delete';
  readonly columns?: readonly string[];
}

/** What the statements of a serving instance need: `postgres/grants.sql` gives exactly this to the role that serves. */
export const SERVICE_PRIVILEGES: readonly TablePrivilege[] = [
  { table: 'schema_migrations', privilege: 'select' },
  { table: 'users', privilege: 'select' },
  { table: 'users', privilege: 'insert', columns: ['id', 'email', 'password_hash', 'email_verified_at', 'locale'] },
  {
    table: 'users',
    privilege: 'update',
    columns: ['password_hash', 'credential_version', 'email', 'email_verified_at', 'locale', 'second_factors'],
  },
  { table: 'refresh_token_families', privilege: 'select' },
  { table: 'refresh_token_families', privilege: 'insert' },
  {
    table: 'refresh_token_families',
    privilege: 'update',
    columns: [
      'generation',
      'key_id',
      'rotated_at',
      'retry_key_hash',
      'retry_key_from_client',
      'retry_key_history',
      'user_agent',
      'ip_address',
      'amr',
      'auth_time',
      'revoked_at',
      'revoked_xid',
      'revoke_reason',
    ],
  },
  { table: 'refresh_token_families', privilege: 'delete' },
  { table: 'signing_keys', privilege: 'select' },
  { table: 'signing_keys', privilege: 'insert' },
  { table: 'signing_keys', privilege: 'update', columns: ['status', 'activated_at', 'retiring_at'] },
  { table: 'signing_keys', privilege: 'delete' },
  { table: 'rate_limits', privilege: 'select' },
  { table: 'rate_limits', privilege: 'insert' },
  { table: 'rate_limits', privilege: 'update', columns: ['points', 'expire'] },
  { table: 'rate_limits', privilege: 'delete' },
  { table: 'instances', privilege: 'select' },
  { table: 'instances', privilege: 'insert' },
  { table: 'instances', privilege: 'update', columns: ['seen_at', 'history'] },
  { table: 'instances', privilege: 'delete' },
  { table: 'tickets', privilege: 'select' },
  { table: 'tickets', privilege: 'insert' },
  { table: 'tickets', privilege: 'update', columns: ['attempts', 'consumed_at', 'consumed_by'] },
  { table: 'tickets', privilege: 'delete' },
  { table: 'outgoing_mails', privilege: 'select' },
  { table: 'outgoing_mails', privilege: 'insert' },
  {
    table: 'outgoing_mails',
    privilege: 'update',
    columns: ['recipient', 'params', 'attempts', 'next_attempt_at', 'sent_at', 'failed_at', 'last_error'],
  },
  { table: 'outgoing_mails', privilege: 'delete' },
  { table: 'known_clients', privilege: 'select' },
  { table: 'known_clients', privilege: 'insert' },
  { table: 'known_clients', privilege: 'update', columns: ['last_seen'] },
  { table: 'known_clients', privilege: 'delete' },
  { table: 'totp_factors', privilege: 'select' },
  { table: 'totp_factors', privilege: 'insert' },
  { table: 'totp_factors', privilege: 'update', columns: ['confirmed_at', 'last_step', 'last_used_at'] },
  { table: 'totp_factors', privilege: 'delete' },
  { table: 'recovery_codes', privilege: 'select' },
  { table: 'recovery_codes', privilege: 'insert' },
  { table: 'recovery_codes', privilege: 'update', columns: ['used_at'] },
  { table: 'recovery_codes', privilege: 'delete' },
  { table: 'passkeys', privilege: 'select' },
  { table: 'passkeys', privilege: 'insert' },
  { table: 'passkeys', privilege: 'update', columns: ['sign_count', 'backed_up', 'name', 'last_used_at'] },
  { table: 'passkeys', privilege: 'delete' },
];

/**
 * Lists in words the privileges that the role of this connection lacks; a privilege counts however the role came by it.
 * Checked at the start, because otherwise the first request that needs one would end in an internal error. Skips tables
 * and columns that do not exist: whether the schema is up to date is checked elsewhere.
 */
export async function listMissingPrivileges(
  client: Client,
  privileges: readonly TablePrivilege[] = SERVICE_PRIVILEGES,
): Promise<readonly string[]> {
  const needed = privileges.flatMap(({ table, privilege, columns }) =>
    (columns ?? [null]).map((column) => ({ table, privilege, column })),
  );
  const { rows } = await client.query<{ missing: string }>(
    `select privilege || coalesce(' (' || string_agg(needed.column, ', ' order by nth) || ')', '') || ' on ' || needed.table
         as missing
       from rows from (jsonb_to_recordset($1::jsonb) as ("table" text, privilege text, "column" text))
         with ordinality as needed ("table", privilege, "column", nth)
       left join pg_attribute on attrelid = to_regclass(needed.table) and attname = needed.column
       where case
         when needed.column is null then has_table_privilege(to_regclass(needed.table), privilege)
         else has_column_privilege(attrelid, attnum, privilege)
       end is false
       group by privilege, needed.table
       order by min(nth)`,
    [JSON.stringify(needed)],
  );
  return rows.map(({ missing }) => missing);
}
