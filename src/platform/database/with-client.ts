import { Client, type ClientConfig } from 'pg';

const TIMEOUT_MS = 5_000;

/** Lends `work` a connection outside the pool, for a few queries at the start, and closes it afterwards. */
export async function withClient<T>(config: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS, ...config });
  // The query in progress reports a lost connection; without a listener the event would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
