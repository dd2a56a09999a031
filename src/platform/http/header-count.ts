import type { FastifyInstance } from 'fastify';
import { HeadersTooLargeError } from './problems/http.errors.js';

/**
 * Refuses a request that has so many headers that Node has stopped collecting them, because what it drops, whoever
 * stands in front may have read: a second `Authorization`, for instance. The limit of the header section in bytes does
 * not help, since Node counts neither colons nor line breaks for it.
 */
export function refuseUncollectedHeaders(instance: FastifyInstance, maxHeaderCount: number): void {
  instance.server.maxHeadersCount = maxHeaderCount;
  instance.addHook('onRequest', (request, _reply, done) => {
    const count = request.raw.rawHeaders.length / 2;
    done(count >= maxHeaderCount ? new HeadersTooLargeError('too many headers') : undefined);
  });
}
