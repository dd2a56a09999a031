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
 * the start, because the alternative is an internal error at the first request that needs it. The schema has to be up to
 * date: a table or column that is not there is an error.
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
      `select needed.privilege || coalesce(' (' || needed.column || ')', '') || ' on ' || needed.table as missing
       from jsonb_to_recordset($1::jsonb) as needed ("table" text, privilege text, "column" text)
       where not case
         when needed.column is null then has_table_privilege(needed.table, needed.privilege)
         else has_column_privilege(needed.table, needed.column, needed.privilege)
       end`,
      [JSON.stringify(needed)],
    );
    return rows.map(({ missing }) => missing);
  } finally {
    await client.end().catch(() => undefined);
  }
}
