import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DEFAULT_PORT } from '../contract.js';
import { startInFreeSlot } from './slot.mjs';

const USAGE = `Usage: ratchet-test [options] [-- <command> [argument]...]

Serves a Ratchet for tests, with its own PostgreSQL, until it is stopped by SIGTERM or SIGINT. With a command, runs that with
RATCHET_URL, RATCHET_TEST_URL, JWT_ISSUER and JWT_AUDIENCE set, on a free port, and ends as it does.

  --port <number>      default ${DEFAULT_PORT}; 0 chooses a free one
  --config <JSON>      variables of the service for all namespaces, as {"ACCESS_TOKEN_TTL_SECONDS":"60"}
  --parent-pipe        ends when standard input ends
  --watch-parent       ends when the process that started it has ended
  --help

Environment: TEST_DATABASE_URL names a PostgreSQL server (15 or later) to use instead, RATCHET_TEST_HOST the address to
listen on (default 127.0.0.1), RATCHET_TEST_ISSUER the origin that issuers begin with.
`;

const COMMAND_LINE = {
  options: {
    port: { type: 'string' },
    config: { type: 'string' },
    'parent-pipe': { type: 'boolean' },
    'watch-parent': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
} as const;

const EXIT_MISUSED = 2;
const PARENT_CHECK_MS = 500;

interface Options {
  readonly port: number;
  readonly config: Readonly<Record<string, string>>;
  readonly isEndedByPipe: boolean;
  readonly isParentWatched: boolean;
  readonly host: string;
  readonly issuerBase: string | undefined;
  readonly databaseUrl: string | undefined;
}

/** What is wrong with the command line or the environment, for the person at the terminal. */
class Misuse extends Error {}

// A reader that has gone must not end this process before it has stopped PostgreSQL.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

const stopped = new AbortController();

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  heedSignals(options);
  const report = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  // The server starts while the service is loaded: both take about a second.
  const loading = import('./runner.mjs');
  loading.catch(() => undefined);
  const own = options.databaseUrl === undefined ? await startInFreeSlot(readVersion(), report) : undefined;
  try {
    const { serveTests } = await loading;
    const url = own?.postgres.url ?? options.databaseUrl ?? '';
    await serveTests({ ...options, server: { url, isOwn: own !== undefined } }, stopped.signal, own?.postgres.ended);
  } finally {
    await own?.release();
  }
}

function readOptions(): Options | undefined {
  const { NODE_ENV, TEST_DATABASE_URL, RATCHET_TEST_HOST, RATCHET_TEST_ISSUER } = process.env;
  if (NODE_ENV === 'production') {
    throw new Misuse('The test kit does not run with NODE_ENV=production: its secrets are public.');
  }
  const { values } = parse();
  if (values.help === true) {
    return undefined;
  }
  const port = Number(values.port ?? DEFAULT_PORT);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Misuse('--port must be a whole number from 0 to 65535.');
  }
  return {
    port,
    config: readConfig(values.config ?? '{}'),
    isEndedByPipe: values['parent-pipe'] === true,
    isParentWatched: values['watch-parent'] === true,
    host: RATCHET_TEST_HOST || '127.0.0.1',
    issuerBase: readOrigin(RATCHET_TEST_ISSUER),
    databaseUrl: TEST_DATABASE_URL || undefined,
  };
}

function parse(): ReturnType<typeof parseArgs<typeof COMMAND_LINE>> {
  try {
    return parseArgs(COMMAND_LINE);
  } catch (error) {
    throw new Misuse(error instanceof Error ? error.message : String(error));
  }
}

/** Returns the version of this package. */
function readVersion(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}

function readConfig(text: string): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Refused below.
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || Object.values(value as object).some((each) => typeof each !== 'string')) {
    throw new Misuse('--config must be a JSON object of texts, as {"ACCESS_TOKEN_TTL_SECONDS":"60"}.');
  }
  return value as Record<string, string>;
}

function readOrigin(text: string | undefined): string | undefined {
  if (text === undefined || text === '') {
    return undefined;
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.origin !== text.replace(/\/$/, '')) {
    throw new Misuse('RATCHET_TEST_ISSUER must be an origin, as http://localhost:4010.');
  }
  return url.origin;
}

function heedSignals({ isEndedByPipe, isParentWatched }: Options): void {
  const stop = (): void => {
    stopped.abort();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (isEndedByPipe) {
    process.stdin.on('end', stop).on('error', stop).resume();
  }
  if (isParentWatched) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) {
        stop();
      }
    }, PARENT_CHECK_MS).unref();
  }
}

main()
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof Misuse ? EXIT_MISUSED : 1;
  })
  // What is left, such as a pool that waits for a server that has gone, is nothing to wait for.
  .finally(() => process.exit());
