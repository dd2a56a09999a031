import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.js';

const ACCEPTABLE_REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Returns the caller's own `X-Request-Id`, so that one id runs through every service, or a fresh UUID if that one could
 * do harm in a log line or a header.
 */
export function requestIdFor(request: Pick<IncomingMessage, 'headers'>): string {
  const offered = request.headers['x-request-id'];
  return typeof offered === 'string' && ACCEPTABLE_REQUEST_ID.test(offered) ? offered : randomUUID();
}

/** The headers that every answer carries in addition to `X-Request-Id`, problem or not. */
export type EdgeHeaders = Readonly<Record<string, string>>;

/**
 * Sets HSTS for this host only, because its subdomains may belong to other services. Over plain HTTP a browser ignores
 * it (RFC 6797 section 8.1), so it does not matter where TLS ends.
 */
export function edgeHeadersOf({ hstsMaxAgeSeconds }: Pick<Config['http'], 'hstsMaxAgeSeconds'>): EdgeHeaders {
  return {
    'x-content-type-options': 'nosniff',
    ...(hstsMaxAgeSeconds > 0 && { 'strict-transport-security': `max-age=${hstsMaxAgeSeconds}` }),
  };
}

/** Forbids caching unless a route allows it: almost every answer carries or concerns a credential. */
export function addResponseHeaders(instance: FastifyInstance, edgeHeaders: EdgeHeaders): void {
  instance.addHook('onSend', (request, reply, payload, done) => {
    // Allocates no object per answer: V8 learns to place such objects among the long-lived ones and collects them late.
    reply.headers(edgeHeaders).header('x-request-id', request.id);
    if (!reply.hasHeader('cache-control')) {
      reply.header('cache-control', 'no-store');
    }
    done(null, payload);
  });
}
