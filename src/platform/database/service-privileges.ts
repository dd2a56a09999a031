import { Client } from 'pg';

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
  { table: 'users', privilege: 'insert', columns: ['id', 'email', 'password_hash'] },
  { table: 'users', privilege: 'update', columns: ['password_hash', 'credential_version'] },
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
      'user_agent',
      'ip_address',
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
];

const QUERY_TIMEOUT_MS = 5_000;

/**
 * Which of the privileges the role of this URL lacks, in words; a privilege counts however the role came by it. Asked at
 * the start, because the alternative is an internal error at the first request that needs it. A table or column that is
 * not there is not looked at: whether the schema is up to date, others judge.
 */
export async function listMissingPrivileges(
  url: string,
  privileges: readonly TablePrivilege[] = SERVICE_PRIVILEGES,
): Promise<readonly string[]> {
  const needed = privileges.flatMap(({ table, privilege, columns }) =>
    (columns ?? [null]).map((column) => ({ table, privilege, column })),
  );
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
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
  } finally {
    await client.end().catch(() => undefined);
  }
}
