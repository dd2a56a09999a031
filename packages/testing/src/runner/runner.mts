import { once } from 'node:events';
import { VERSION } from '@ratchet/server/internal';
import type { ReadyLine } from '../contract.js';
import { Databases, type DatabaseServer } from './databases.mjs';
import { Front } from './front.mjs';
import { MAIN, Namespaces, type Settings } from './namespaces.mjs';

export interface RunnerOptions {
  readonly port: number;
  readonly host: string;
  readonly issuerBase: string | undefined;
  readonly config: Settings;
  readonly server: DatabaseServer;
}

/** How long a stop may wait for what is left of the work. */
const LONGEST_STOP_MS = 5_000;

/**
 * Serves until it is stopped, and says on standard output when it begins.
 *
 * @param databaseEnded resolves when the server of the databases is gone
 * @throws Error also when that ends before the stop
 */
export async function serveTests(
  { port, host, issuerBase, config, server }: RunnerOptions,
  stopped: AbortSignal,
  databaseEnded: Promise<void> = new Promise(() => undefined),
): Promise<void> {
  const front = await Front.listen({ port, host, issuerBase, facts: { version: VERSION, pid: process.pid } });
  let namespaces: Namespaces | undefined;
  try {
    const databases = await Databases.open(server);
    namespaces = new Namespaces(databases, (name) => front.issuerOf(name), config);
    const { namespace } = await namespaces.provide(MAIN, undefined);
    front.serve(namespaces);
    const { issuer, audience } = namespace.config.accessTokens;
    const ready: ReadyLine = {
      event: 'ready',
      url: front.url,
      test_url: `${front.url}/test`,
      pid: process.pid,
      issuer,
      audience,
    };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
    const isStopped = await Promise.race([
      stopped.aborted ? true : once(stopped, 'abort').then(() => true),
      databaseEnded.then(() => false),
    ]);
    if (!isStopped) {
      throw new Error('The PostgreSQL of the test kit has ended, and the test kit with it. Start it again.');
    }
  } finally {
    await front.close();
    await within(LONGEST_STOP_MS, namespaces?.close());
  }
}

async function within(ms: number, work: Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work?.catch(() => undefined), late]);
  clearTimeout(timer);
}
