import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import {
  type GatewaySurroundings,
  makeScratchFolder,
  newLogPath,
  RECIPES,
  runGateway,
  type RunningGateway,
} from './gateway-process.js';

/**
 * The shipped `http` part with the addresses of this machine, in the smallest nginx.conf that runs it.
 *
 * @param locations stand in its server beside its own
 */
export async function startNginx({ ratchet, backend }: GatewaySurroundings, locations = ''): Promise<RunningGateway> {
  const folder = await makeScratchFolder('nginx');
  const [port, accessLogPath] = [await freePort(), newLogPath('nginx-access')];
  const shipped = await readFile(join(RECIPES, 'nginx/ratchet.conf'), 'utf8');
  const recipe = shipped
    .replace('server auth:3000;', `server ${ratchet};`)
    .replace('server orders:8080;', `server ${backend};`)
    .replace('listen 8080;', () => `listen 127.0.0.1:${port};\n${locations}`)
    .replace('/var/log/nginx/access.log', accessLogPath);
  await mkdir(join(folder, 'temp'));
  await writeFile(join(folder, 'ratchet.conf'), recipe);
  await writeFile(join(folder, 'nginx.conf'), surroundingsOf(folder));
  return runGateway(['nginx', '-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], { port, accessLogPath });
}

function surroundingsOf(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/temp/${kind};`)
    .join('\n  ');
  // As one process: the same user as the test, and gone with it.
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
  ${temporary}
  include ${folder}/ratchet.conf;
}
`;
}
