import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startNginx } from './gateway-nginx.js';
import { makeScratchFolder, type RunningGateway } from './gateway-process.js';
import { LoadBalancer } from './load-balancer.js';
import { runCommand, RunningCommand } from './run-command.js';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = join(CHECKOUT, 'examples/spa');
const INSTALLATION_DEADLINE_MS = 300_000;

export interface SampleApplication {
  /** Serves the page, the service and the backend at one address. */
  readonly gateway: RunningGateway;
  /** Between the gateway and the service. */
  readonly toService: LoadBalancer;
  stop(): Promise<void>;
}

/** Builds `examples/spa` and serves it as docker compose does, with the sample backend behind the same nginx. */
export async function startSampleApplication(
  service: { readonly url: string },
  issuer: string,
): Promise<SampleApplication> {
  const locations = await buildSampleApplication();
  const orders = new RunningCommand('node', ['examples/orders/server.js'], {
    workingDirectory: CHECKOUT,
    environment: { AUTH_URL: service.url, JWT_ISSUER: issuer, PORT: '0', INTERNAL_PORT: '0' },
  });
  const [, port = ''] = await orders.said(/"listener":"internal","port":(\d+)/);
  const toService = new LoadBalancer([service.url]);
  const ratchet = new URL(await toService.start()).host;
  const gateway = await startNginx({ ratchet, backend: `127.0.0.1:${port}` }, locations);
  return {
    gateway,
    toService,
    stop: async () => {
      await gateway.stop();
      await toService.stop();
      orders.signalGroup('SIGTERM');
      await orders.end();
    },
  };
}

/**
 * Builds `examples/spa` as it stands, installing what it needs if that is missing.
 *
 * @returns the locations that serve it, for nginx
 * @throws Error with the output of a step that fails
 */
async function buildSampleApplication(): Promise<string> {
  const folder = await makeScratchFolder('spa');
  await run(CHECKOUT, 'scripts/install-if-needed.mjs', 'examples/spa');
  await run(SOURCES, 'node_modules/vite/bin/vite.js', 'build', '--emptyOutDir', '--outDir', folder);
  const locations = await readFile(join(SOURCES, 'gateway.conf'), 'utf8');
  return locations.replaceAll('/srv/spa', folder);
}

async function run(workingDirectory: string, ...args: readonly string[]): Promise<void> {
  const { PATH = '', HOME = '' } = process.env;
  const { exitCode, stdout, stderr } = await runCommand('node', args, {
    workingDirectory,
    environment: { PATH, HOME },
    withinMs: INSTALLATION_DEADLINE_MS,
  });
  if (exitCode !== 0) {
    throw new Error(`node ${args.join(' ')} has failed: ${stdout}${stderr}`);
  }
}
