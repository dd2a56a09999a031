import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { MalformedRequestError } from '../common/domain.errors.js';

/**
 * Takes over the two answers that Node would give by itself, with an empty body: 417 for an expectation it does not
 * know, which RFC 9110 section 10.1.1 lets a server ignore, and 400 for a missing `Host` (RFC 9112 section 3.2), for
 * which the server must be created with `requireHostHeader: false`.
 */
export function takeOverNodeAnswers(instance: FastifyInstance): void {
  instance.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    instance.server.emit('request', request, response);
  });
  instance.addHook('onRequest', (request, _reply, done) => {
    const isHostMissing = request.headers.host === undefined && request.raw.httpVersion === '1.1';
    done(isHostMissing ? new MalformedRequestError('no Host') : undefined);
  });
}
