import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '../common/clock.js';

const QUIET_MS = 60_000;

/**
 * Warns, at most once a minute, that `X-Forwarded-For` came from a peer that is not a trusted proxy and was ignored.
 * Either a client forges addresses, or `TRUSTED_PROXIES` lacks the gateway and every client shares its address.
 */
export function warnOfUntrustedForwarding(instance: FastifyInstance, logger: Logger, clock: Clock): void {
  let lastWarnedMs = -Infinity;
  instance.addHook('onRequest', (request, _reply, done) => {
    if (request.headers['x-forwarded-for'] !== undefined && !cameFromTrustedProxy(request.ips)) {
      const nowMs = clock.monotonicMs();
      if (nowMs - lastWarnedMs >= QUIET_MS) {
        lastWarnedMs = nowMs;
        logger.warn(
          { peer: request.socket.remoteAddress, request_id: request.id },
          'ignored X-Forwarded-For from a peer that is not in TRUSTED_PROXIES',
        );
      }
    }
    done();
  });
}

/** Fastify lists the peer first, and forwarded addresses after it only as far as each reporter is trusted. */
function cameFromTrustedProxy(addresses: readonly string[] | undefined): boolean {
  return addresses !== undefined && addresses.length > 1;
}
