import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { MalformedRequestError } from '../common/domain.errors.js';
import { HeadersTooLargeError } from './problems/http.errors.js';
import { writeProblem } from './problems/problem.js';
import type { EdgeHeaders } from './response-headers.js';

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
