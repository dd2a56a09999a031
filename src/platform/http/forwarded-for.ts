import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { OnceAMinute } from '../logging/once-a-minute.js';

const WITH_PORT = /^"?(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})"?$/;

/**
 * Reads `X-Forwarded-For` before anything asks for the client's address: an address loses the port that some proxies
 * append, and what is still no address cuts the list, so that the client counts under the proxy that reported it and
 * nothing further left, which the client may have written, is believed.
 *
 * Warns, at most once a minute each, of a header that was ignored because its sender is not a trusted proxy (a client
 * forges addresses, or `TRUSTED_PROXIES` lacks the gateway and every client shares its address), and of one that a
 * trusted proxy sent without an address.
 */
export function readForwardedFor(instance: FastifyInstance, logger: Logger, frequent: OnceAMinute): void {
  // Fastify lists the peer first, and forwarded addresses after it only as far as each reporter is trusted.
  instance.addHook('onRequest', (request, _reply, done) => {
    const { headers } = request.raw;
    const written = headers['x-forwarded-for'];
    if (written === undefined) {
      done();
      return;
    }
    const entries = String(written).split(',').map(withoutPort);
    delete headers['x-forwarded-for'];
    const forwarded = entries.filter((entry) => entry !== '').join(', ');
    if (forwarded !== '') {
      headers['x-forwarded-for'] = forwarded;
      const addresses = request.ips ?? [];
      const fields = { peer: request.socket.remoteAddress, request_id: request.id };
      if (addresses.length < 2) {
        if (frequent.tell('forwarded for, untrusted') !== undefined) {
          logger.warn(fields, 'ignored X-Forwarded-For from a peer that is not in TRUSTED_PROXIES');
        }
      } else if (isIP(addresses.at(-1) ?? '') === 0) {
        headers['x-forwarded-for'] = addresses.slice(1, -1).reverse().join(', ');
        if (frequent.tell('forwarded for, unreadable') !== undefined) {
          logger.warn(
            { event: 'forwarded_for_unreadable', ...fields },
            'a trusted proxy sent X-Forwarded-For without an address of the client, who counts under the proxy',
          );
        }
      }
      if (headers['x-forwarded-for'] === '') {
        // Fastify would read one empty address.
        delete headers['x-forwarded-for'];
      }
    }
    done();
  });
}

function withoutPort(entry: string): string {
  const text = entry.trim();
  const [, ipv6, ipv4] = WITH_PORT.exec(text) ?? [];
  return ipv6 ?? ipv4 ?? text;
}
