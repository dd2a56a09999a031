import type { Client, ClientConfig } from 'pg';
import { type ConnectionUse, connectionConfig, settingIfPossible } from './connection-settings.js';
import { DatabaseClient } from './database-client.js';

const QUERY_TIMEOUT_MS = 5_000;

/**
 * Lends `work` a connection outside the pool, for a few queries at the start, and closes it afterwards.
 *
 * @param more wins over `connectionConfig`
 */
export async function withClient<T>(
  url: string,
  work: (client: Client) => Promise<T>,
  more: ClientConfig = {},
): Promise<T> {
  const client = await connectClient(url, 'service', { query_timeout: QUERY_TIMEOUT_MS, ...more });
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Opens a connection outside the pool, with our settings where no pooler refuses them.
 *
 * @param more wins over `connectionConfig`
 * @throws the error that kept it from connecting; no connection is left open then
 */
export function connectClient(url: string, use: ConnectionUse, more: ClientConfig = {}): Promise<Client> {
  return settingIfPossible(async (canSet) => {
    const client = new DatabaseClient({ ...connectionConfig(url, use, canSet), ...more });
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  });
}
