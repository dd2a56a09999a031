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

/** The shipped Caddyfile, whose addresses come from the environment. */
export async function startCaddy({ ratchet, backend }: GatewaySurroundings): Promise<RunningGateway> {
  const folder = await makeScratchFolder('caddy');
  const [port, accessLogPath] = [await freePort(), newLogPath('caddy-access')];
  return runGateway(['caddy', 'run', '--config', join(RECIPES, 'caddy/Caddyfile')], {
    port,
    accessLogPath,
    environment: {
      HOME: folder,
      CADDY_ADMIN: `127.0.0.1:${await freePort()}`,
      GATEWAY_ADDRESS: `http://127.0.0.1:${port}`,
      GATEWAY_LOG: accessLogPath,
      RATCHET_ADDRESS: ratchet,
      ORDERS_ADDRESS: backend,
    },
  });
}
