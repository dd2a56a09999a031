import { type ClientConfig, DatabaseError } from 'pg';

/** The server cancels a statement after this long, so that one whose client has given up cannot act late. */
const STATEMENT_TIMEOUT_MS = 5_000;

/** The client gives up later than the server, so that a silent connection is the only reason for it. */
const QUERY_TIMEOUT_MS = 7_000;

const CONNECT_TIMEOUT_MS = 5_000;

/** `service`: no statement outlives its client. `migrations`: a statement may take as long as the table is large. */
export type ConnectionUse = 'service' | 'migrations';

/**
 * What a result or a statement depends on and an administrator may have set otherwise for the server, the database or
 * the role. The first value of each is what the service sets, and the others suit it as well.
 */
export const REQUIRED_SETTINGS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  // The driver reads dates in this form only.
  datestyle: ['ISO', 'ISO, MDY', 'ISO, DMY', 'ISO, YMD'],
  client_encoding: ['UTF8'],
  // Below 1, times in seconds lose their fractions.
  extra_float_digits: ['1', '2', '3'],
  standard_conforming_strings: ['on'],
  // Otherwise NULL in an array of parameters is a word.
  array_nulls: ['on'],
  default_transaction_isolation: ['read committed'],
  // An acknowledged rotation or revocation is on disk.
  synchronous_commit: ['on', 'remote_apply', 'remote_write', 'local'],
};

/** What the service sets where it can, and does without behind a transaction pooler. */
const FURTHER_SETTINGS: Readonly<Record<string, string>> = {
  timezone: 'UTC',
  intervalstyle: 'postgres',
  bytea_output: 'hex',
  transform_null_equals: 'off',
  default_transaction_deferrable: 'off',
  exit_on_error: 'off',
  idle_session_timeout: '0',
  lock_timeout: '0',
};

const TIMEOUTS: Readonly<Record<ConnectionUse, Readonly<Record<string, string>>>> = {
  service: { statement_timeout: String(STATEMENT_TIMEOUT_MS), idle_in_transaction_session_timeout: '10000' },
  migrations: { statement_timeout: '0', idle_in_transaction_session_timeout: '0' },
};

/**
 * Returns the way to connect that every connection of the service uses, in the pool or outside it.
 *
 * @param canSet false where a transaction pooler is in between, which refuses settings or does not keep them
 */
export function connectionConfig(url: string, use: ConnectionUse, canSet: boolean): ClientConfig {
  return {
    connectionString: canSet ? withSettings(url, settingsOf(use)) : url,
    application_name: 'ratchet',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...(use === 'service' && { query_timeout: QUERY_TIMEOUT_MS }),
  };
}

/**
 * Adds settings to the `options` of a URL and wins over those of the same name there. The driver takes `options` from
 * the URL alone if the URL has any.
 */
export function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const parsed = new URL(url);
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`);
  // The server takes the last one of a name.
  parsed.searchParams.set('options', [parsed.searchParams.get('options') ?? '', ...options].join(' ').trim());
  return parsed.href;
}

/**
 * Connects with our settings, or without them where a transaction pooler refuses them.
 *
 * @param connect leaves nothing open when it fails
 */
export async function settingIfPossible<T>(connect: (canSet: boolean) => Promise<T>): Promise<T> {
  try {
    return await connect(true);
  } catch (error) {
    if (!areSettingsRefused(error)) {
      throw error;
    }
    return connect(false);
  }
}

/** Protocol violation, and feature not supported: a pooler's answers to a start-up parameter that it cannot keep. */
export function areSettingsRefused(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === '08P01' || error.code === '0A000');
}

function settingsOf(use: ConnectionUse): Readonly<Record<string, string>> {
  const required = Object.entries(REQUIRED_SETTINGS).map(([name, [value]]) => [name, value] as const);
  return { ...Object.fromEntries(required), ...FURTHER_SETTINGS, ...TIMEOUTS[use] };
}
