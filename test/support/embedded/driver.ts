import { createInterface } from 'node:readline';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import pg from 'pg';

/**
 * A process of its own that owns or joins an embedded PostgreSQL, so that a test can kill it. Speaks one JSON object a
 * line; a line on standard input is `stop`, or SQL for the database `ratchet`.
 */
const [dataDirectory = '', whenInUse = 'fail', serverSettings = '{}'] = process.argv.slice(2);

function say(message: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const startedAt = performance.now();
try {
  const embedded = await startEmbeddedPostgres({
    dataDirectory,
    whenInUse: whenInUse === 'join' ? 'join' : 'fail',
    serverSettings: JSON.parse(serverSettings) as Record<string, string>,
    onProgress: (line) => {
      say({ event: 'progress', line });
    },
  });
  say({
    event: 'ready',
    url: embedded.url,
    superuserUrl: embedded.superuserUrl,
    ms: Math.round(performance.now() - startedAt),
  });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'stop') {
      break;
    }
    const client = new pg.Client({ connectionString: embedded.url });
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(line);
    await client.end();
    say({ event: 'rows', rows });
  }
  await embedded.stop();
  say({ event: 'stopped' });
} catch (error) {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  say({ event: 'failed', name, message });
  process.exitCode = 1;
}
