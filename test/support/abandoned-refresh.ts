import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import type { TestService } from './test-service.js';

/** How many connections an instance has open. */
export function openConnections(service: TestService): Promise<number> {
  const server = service.app.getHttpServer();
  return promisify(server.getConnections.bind(server))();
}

/** Sends a refresh, or the part of it that is `sentBody`; does not read the answer. */
export async function sendRefresh(
  serviceUrl: string,
  refreshToken: string,
  sentBody = JSON.stringify({ refresh_token: refreshToken }),
): Promise<Socket> {
  const { hostname, port } = new URL(serviceUrl);
  const body = JSON.stringify({ refresh_token: refreshToken });
  const socket = connect(Number(port), hostname);
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.write(
      'POST /auth/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${sentBody}`,
      resolve,
    );
  });
  return socket;
}
