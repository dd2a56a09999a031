import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { HttpConfig } from '../config/config.js';

const ACCEPTABLE_REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * The caller's own `X-Request-Id`, so that one id runs through every service, unless it could do harm in a log line or
 * a header; then a fresh UUID.
 */
export function requestIdFor(request: Pick<IncomingMessage, 'headers'>): string {
  const offered = request.headers['x-request-id'];
  return typeof offered === 'string' && ACCEPTABLE_REQUEST_ID.test(offered) ? offered : randomUUID();
}

/** What every answer carries beside its `X-Request-Id`, problem or not. */
export type EdgeHeaders = Readonly<Record<string, string>>;

/**
 * HSTS speaks for this host only, because its subdomains are not ours to decide about; over plain HTTP a browser ignores
 * it (RFC 6797 section 8.1), so it needs no knowledge of who ends TLS.
 */
export function edgeHeadersOf({ hstsMaxAgeSeconds }: Pick<HttpConfig, 'hstsMaxAgeSeconds'>): EdgeHeaders {
  return {
    'x-content-type-options': 'nosniff',
    ...(hstsMaxAgeSeconds > 0 && { 'strict-transport-security': `max-age=${hstsMaxAgeSeconds}` }),
  };
}

/** Nothing is cached unless its route says so: almost every answer carries or concerns a credential. */
export function addResponseHeaders(instance: FastifyInstance, edgeHeaders: EdgeHeaders): void {
  instance.addHook('onSend', (request, reply, payload, done) => {
    // No object is made for each answer: V8 learns to put such ones beside the long-lived, and collects them late.
    reply.headers(edgeHeaders).header('x-request-id', request.id);
    if (!reply.hasHeader('cache-control')) {
      reply.header('cache-control', 'no-store');
    }
    done(null, payload);
  });
}
