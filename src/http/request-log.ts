import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { redactLine } from '../logging/redaction.js';
import { FORWARD_AUTH_PATH } from './forward-auth.js';

const MAX_PATH_LENGTH = 200;

/** One line at the end of each request; those of probes and gateways, which come all the time, only at debug. */
export function logRequests(instance: FastifyInstance, logger: Logger): void {
  instance.addHook('onResponse', (request, reply, done) => {
    logRequest(logger, request, reply);
    done();
  });
  instance.addHook('onRequestAbort', (request, done) => {
    logger.info(requestFields(request), 'request aborted by the client');
    done();
  });
}

/** Never the query string, and a token in the path not even in part: clients put tokens there, however often they are told not to (RFC 6750 section 5.3). */
export function logRequest(logger: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const fields = requestFields(request);
  const line = { ...fields, status: reply.statusCode, duration_ms: Math.round(reply.elapsedTime * 10) / 10 };
  if (isRoutine(fields.path, reply.statusCode)) {
    logger.debug(line, 'request');
  } else {
    logger.info(line, 'request');
  }
}

function requestFields(request: FastifyRequest): { method: string; path: string; request_id: string; ip: string } {
  const path = request.url.split(/[?#]/, 1)[0] ?? '';
  return {
    method: request.method,
    path: redactLine(path).slice(0, MAX_PATH_LENGTH),
    request_id: request.id,
    ip: request.ip,
  };
}

function isRoutine(path: string, status: number): boolean {
  return path.startsWith('/health/') || (path === FORWARD_AUTH_PATH && status < 400);
}
