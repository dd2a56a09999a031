import pg from 'pg';
import { scanForSecrets } from './secret-scan.mjs';

/**
 * Searches everything that the suite has left behind for secrets, then deletes it. Vitest only prints what a tear-down
 * throws, and a tear-down that takes too long: the exit code is a failure until the search has found nothing.
 */
export async function tearDown(run) {
  const { exitCode } = process;
  process.exitCode = 1;
  try {
    const { findings, summary } = await scanForSecrets(run);
    process.stdout.write(`${summary}\n`);
    if (findings.length > 0) {
      throw new Error(`secrets in the clear:\n${findings.join('\n')}`);
    }
  } finally {
    if (!run.isEmbedded) {
      await dropDatabases(run);
    }
    await run.close();
  }
  process.exitCode = exitCode;
}

async function dropDatabases({ serverUrl, prefix }) {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  const { rows } = await client.query('select datname from pg_database where starts_with(datname, $1)', [prefix]);
  for (const { datname } of rows) {
    await client.query(`drop database "${datname}" with (force)`);
  }
  await client.end();
}
