import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import {
  type GatewaySurroundings,
  makeScratchFolder,
  RECIPES,
  runGateway,
  type RunningGateway,
} from './gateway-process.js';

/** The shipped configuration that asks, whose addresses come from the environment. */
export async function startHaproxyAuthRequest({ ratchet, backend }: GatewaySurroundings): Promise<RunningGateway> {
  const port = await freePort();
  return runGateway(['haproxy', '-db', '-f', join(RECIPES, 'haproxy/auth-request.cfg')], {
    port,
    environment: {
      GATEWAY_ADDRESS: `127.0.0.1:${port}`,
      RATCHET_ADDRESS: ratchet,
      ORDERS_ADDRESS: backend,
      RATCHET_LUA: join(RECIPES, 'haproxy/ratchet-verify.lua'),
    },
  });
}

/** The shipped configuration that checks signatures itself, with the keys that Ratchet publishes now. */
export async function startHaproxyJwtVerify({ ratchet, backend }: GatewaySurroundings): Promise<RunningGateway> {
  const [port, folder] = [await freePort(), await makeScratchFolder('haproxy')];
  const { keys } = (await (await fetch(`http://${ratchet}/.well-known/jwks.json`)).json()) as {
    keys: { kid: string }[];
  };
  const [{ kid } = { kid: '' }] = keys;
  const pem = await (await fetch(`http://${ratchet}/.well-known/keys/${kid}.pem`)).text();
  await writeFile(join(folder, `${kid}.pem`), pem);
  return runGateway(['haproxy', '-db', '-f', join(RECIPES, 'haproxy/jwt-verify.cfg')], {
    port,
    environment: {
      GATEWAY_ADDRESS: `127.0.0.1:${port}`,
      RATCHET_ADDRESS: ratchet,
      ORDERS_ADDRESS: backend,
      RATCHET_KEYS: folder,
      RATCHET_KID: kid,
      JWT_ISSUER: 'http://localhost:3000',
      JWT_AUDIENCE: 'ratchet',
    },
  });
}
