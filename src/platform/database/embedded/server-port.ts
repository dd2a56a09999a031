import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { ClusterPaths } from './cluster.js';

export const loopbackAddress = '127.0.0.1';

/** The port of the last start if it is free, so that a connection noted down stays good; otherwise one that is free now. */
export async function choosePort(paths: ClusterPaths): Promise<number> {
  const remembered = Number(await readFile(paths.portFile, 'utf8').catch(() => ''));
  const wanted = Number.isInteger(remembered) && remembered > 0 && remembered < 65_536 ? remembered : 0;
  const port = (await freePort(wanted)) ?? (await freePort(0));
  if (port === undefined) {
    throw new Error(`No port is free on ${loopbackAddress}.`);
  }
  if (port !== remembered) {
    await writeFile(paths.portFile, `${port}\n`, { mode: 0o600 });
  }
  return port;
}

/** @param wanted 0 for any */
async function freePort(wanted: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen({ host: loopbackAddress, port: wanted, exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' ? address?.port : undefined);
      });
    });
  });
}
