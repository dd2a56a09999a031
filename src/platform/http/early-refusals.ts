import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { MalformedRequestError, OverloadedError } from '../common/domain.errors.js';
import { countHeaderLines } from '../common/raw-headers.js';
import { HeadersTooLargeError } from './problems/http.errors.js';
import { writeProblem } from './problems/problem.js';
import type { EdgeHeaders } from './response-headers.js';

const SPOKEN_VERSIONS: readonly string[] = ['1.1', '1.0'];

/**
 * Takes over the two answers that Node would give by itself, with an empty body: 417 for an expectation it does not
 * know, which RFC 9110 section 10.1.1 lets a server ignore, and 400 for a missing `Host` (RFC 9112 section 3.2), for
 * which the server must be created with `requireHostHeader: false`.
 *
 * Refuses likewise what Node lets pass: a second `Host`, of which a proxy may have read the other one (the same
 * section), and a request line without a version or with another one, for which no rule says where the request ends.
 */
export function takeOverNodeAnswers(instance: FastifyInstance): void {
  instance.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    instance.server.emit('request', request, response);
  });
  instance.addHook('onRequest', (request, _reply, done) => {
    const problem = frameProblem(request.raw);
    done(problem === undefined ? undefined : new MalformedRequestError(problem));
  });
}

function frameProblem({ httpVersion, rawHeaders }: IncomingMessage): string | undefined {
  if (!SPOKEN_VERSIONS.includes(httpVersion)) {
    return `HTTP/${httpVersion}`;
  }
  const hosts = countHeaderLines(rawHeaders, 'host');
  if (hosts > 1) {
    return 'several Host';
  }
  return hosts === 0 && httpVersion === '1.1' ? 'no Host' : undefined;
}

/**
 * Refuses a request with so many headers that Node has stopped collecting them: a proxy may have acted on one that Node
 * dropped, a second `Authorization` for instance. The limit of the header section in bytes does not prevent this, since
 * Node counts neither colons nor line breaks for it.
 */
export function refuseUncollectedHeaders(instance: FastifyInstance, maxHeaderCount: number): void {
  instance.server.maxHeadersCount = maxHeaderCount;
  instance.addHook('onRequest', (request, _reply, done) => {
    const count = request.raw.rawHeaders.length / 2;
    done(count >= maxHeaderCount ? new HeadersTooLargeError('too many headers') : undefined);
  });
}

/**
 * Bounds the work that one connection can cause at a time: Node hands over every request that has arrived, also those
 * that a client sends ahead of the answers (pipelining). The first that is too many is answered 503 in its turn, and
 * with that answer the connection ends; RFC 9112 section 9.3.2 has clients repeat what was not answered.
 */
export function refuseExcessiveRequests(instance: FastifyInstance, maxUnanswered: number): void {
  const unanswered = new WeakMap<Socket, number>();
  const excessive = new WeakSet<IncomingMessage>();
  // In front of Fastify, for which a request that will never be answered has been aborted by its client.
  const handlers = instance.server.listeners('request');
  instance.server.removeAllListeners('request');
  instance.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    // Ended by an answer that came before the body; RFC 9112 section 9.6 forbids to process what follows.
    if (!socket.writable) {
      return;
    }
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > maxUnanswered + 1) {
      return;
    }
    unanswered.set(socket, count);
    if (count > maxUnanswered) {
      excessive.add(request);
    } else {
      response.once('close', () => {
        unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1);
      });
    }
    handlers.forEach((handle) => {
      Reflect.apply(handle, instance.server, [request, response]);
    });
  });
  instance.addHook('onRequest', (request, reply, done) => {
    if (!excessive.has(request.raw)) {
      done();
      return;
    }
    reply.header('connection', 'close');
    done(new OverloadedError(`${maxUnanswered} requests of the connection are unanswered`));
  });
}

/**
 * Answers bytes that are not an HTTP request. A request that came too slowly is cut without an answer, which a client
 * treats as a lost connection and retries; the contract has no code for it.
 */
export function answerParserError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  logger: Logger,
  edgeHeaders: EdgeHeaders,
): void {
  if (error.code === 'ECONNRESET' || error.code === 'ERR_HTTP_REQUEST_TIMEOUT' || !socket.writable) {
    socket.destroy();
    return;
  }
  const requestId = randomUUID();
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW' ? new HeadersTooLargeError() : new MalformedRequestError(error.code);
  logger.debug(
    { code: problem.code, reason: error.code, request_id: requestId, ip: socket.remoteAddress },
    'request refused',
  );
  writeProblem(socket, problem, requestId, edgeHeaders);
}
