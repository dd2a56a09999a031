import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { DomainError, MalformedRequestError } from '../common/domain.errors.js';
import { parseForm } from './form-body.parser.js';
import { FORM_MEDIA_TYPE, readsForm } from './form-route.js';
import { parseJsonBody } from './json-body.parser.js';
import { UnsupportedMediaTypeError } from './problems/http.errors.js';

export const BODY_LIMIT_BYTES = 16 * 1024;

const CHARSET_PARAMETER = /;\s*charset\s*=\s*"?([^\s";]*)/i;

/**
 * Makes JSON, and forms on the routes that ask for them, the only bodies that are read at all. Fastify answers every
 * other content type with 415 before a handler runs, so no route can be reached with a body that was not validated.
 */
export function registerBodyParsers(instance: FastifyInstance): void {
  instance.removeAllContentTypeParsers();
  addBodyParser(instance, 'application/json', (request) => !readsForm(request), parseJsonBody);
  addBodyParser(instance, FORM_MEDIA_TYPE, readsForm, parseForm);
}

/**
 * Makes an empty body none, whatever it is called: a browser's beacon and an empty form have a type, and a logout whose
 * credential is in a header would be refused for it while the session lives on.
 */
export function ignoreTypeOfEmptyBodies(instance: FastifyInstance): void {
  instance.addHook('onRequest', (request, _reply, done) => {
    const { headers } = request.raw;
    if (!announcesBody(headers)) {
      delete headers['content-type'];
    }
    done();
  });
}

/**
 * Ends the connection with an answer that comes before the announced body has arrived: what follows on it is that body,
 * and a proxy that does not send it would have its next request read as the body.
 */
export function closeBeforeUnreadBody(instance: FastifyInstance): void {
  instance.addHook('onSend', (request, reply, payload, done) => {
    endIfBodyIsOutstanding(request, reply);
    done(null, payload);
  });
}

/**
 * Ends the connection with this answer if the announced body has not arrived. Reads on until it has, for as long as a
 * request may take: a connection that is closed with unread bytes is reset, and the client may lose the answer
 * (RFC 9112 section 9.6).
 */
export function endIfBodyIsOutstanding({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.complete || !announcesBody(raw.headers)) {
    return;
  }
  reply.header('connection', 'close');
  const { socket } = raw;
  const close = socket.destroySoon.bind(socket);
  // Node calls it after an answer that ends the connection.
  socket.destroySoon = () => {
    if (raw.readableEnded) {
      close();
      return;
    }
    socket.end();
    raw.once('end', close);
  };
}

function announcesBody(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) > 0);
}

/**
 * Errors other than our own become `malformed_request` without their message, which may quote the body.
 *
 * @param isWanted whether the route reads this media type; 415 where it does not
 */
function addBodyParser(
  instance: FastifyInstance,
  mediaType: string,
  isWanted: (request: FastifyRequest) => boolean,
  parse: (body: Buffer) => unknown,
): void {
  instance.addContentTypeParser<Buffer>(
    mediaType,
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (request, body, done) => {
      try {
        if (!isWanted(request)) {
          throw new UnsupportedMediaTypeError(`${mediaType} on a route that does not read it`);
        }
        refuseOtherEncodings(request);
        done(null, parse(body));
      } catch (error) {
        done(error instanceof DomainError ? error : new MalformedRequestError());
      }
    },
  );
}

/** Bodies are UTF-8 and never compressed. */
function refuseOtherEncodings({ headers }: FastifyRequest): void {
  const charset = CHARSET_PARAMETER.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new UnsupportedMediaTypeError('charset');
  }
  const contentCoding = headers['content-encoding'];
  if (contentCoding !== undefined && contentCoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaTypeError('content coding');
  }
}
