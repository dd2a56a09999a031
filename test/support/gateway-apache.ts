import { readFile, writeFile } from 'node:fs/promises';
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
import { startTlsFront } from './tls-front.js';

/** Where Debian keeps the modules of its packages. */
const MODULES = '/usr/lib/apache2/modules';

const LOADED = [
  'mpm_event',
  'authn_core',
  'authz_core',
  'auth_openidc',
  'headers',
  'macro',
  'proxy',
  'proxy_http',
  'rewrite',
];

/** The shipped virtual host with the addresses of this machine, in the smallest apache2.conf that runs it. */
export async function startApache({ ratchet, backend }: GatewaySurroundings): Promise<RunningGateway> {
  const folder = await makeScratchFolder('apache');
  const keys = await startTlsFront(() => `http://${ratchet}`);
  const [port, accessLogPath] = [await freePort(), newLogPath('apache-access')];
  const recipe = await readFile(join(RECIPES, 'apache/ratchet.conf'), 'utf8');
  const definitions: Readonly<Record<string, string>> = {
    RATCHET_URL: `http://${ratchet}`,
    JWKS_URL: `${keys.url}/.well-known/jwks.json`,
    ORDERS_URL: `http://${backend}`,
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    GATEWAY_LOG: accessLogPath,
  };
  const adapted = Object.entries(definitions)
    .reduce(
      (text, [name, value]) => text.replace(new RegExp(`^Define ${name} .*$`, 'm'), `Define ${name} ${value}`),
      recipe,
    )
    .replace('<VirtualHost *:${GATEWAY_LISTEN}>', '<VirtualHost ${GATEWAY_LISTEN}>');
  await writeFile(join(folder, 'ratchet.conf'), adapted);
  await writeFile(join(folder, 'apache2.conf'), surroundingsOf(folder));
  const gateway = await runGateway(['apache2', '-f', join(folder, 'apache2.conf'), '-DFOREGROUND'], {
    port,
    accessLogPath,
  });
  return {
    ...gateway,
    stop: async () => {
      await gateway.stop();
      await keys.stop();
    },
  };
}

function surroundingsOf(folder: string): string {
  const modules = LOADED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n');
  return `ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache2.pid
DefaultRuntimeDir ${folder}
ErrorLog ${newLogPath('apache-error')}
${modules}
# The certificate of this test is its own.
OIDCOAuthSSLValidateServer Off
User www-data
Group www-data
Include ${folder}/ratchet.conf
`;
}
