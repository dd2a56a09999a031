import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/**
 * What terminates TLS in front of a service, for programs that read over https only. GET alone, with a certificate that
 * nobody knows.
 *
 * @param folder for its key and certificate
 */
export async function startTlsFront(
  url: string,
  folder: string,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const [keyPath, certificatePath] = [join(folder, 'tls-key.pem'), join(folder, 'tls-certificate.pem')];
  execFileSync(
    'openssl',
    ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'].concat([
      '-subj',
      '/CN=127.0.0.1',
      '-keyout',
      keyPath,
      '-out',
      certificatePath,
    ]),
    { stdio: 'ignore' },
  );
  const server = createServer(
    { key: await readFile(keyPath), cert: await readFile(certificatePath) },
    (request, response) => {
      fetch(new URL(request.url ?? '/', url))
        .then(async (answer) => {
          response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
          response.end(await answer.text());
        })
        .catch(() => {
          response.writeHead(502).end();
        });
    },
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
