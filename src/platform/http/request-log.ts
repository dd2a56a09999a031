import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { redactLine } from '../logging/redaction.js';
import { FORWARD_AUTH_PATH } from './forward-auth.js';
import { outcomeOf } from './problems/problem.js';

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
  const level = isRoutine(request.url, reply.statusCode) ? 'debug' : 'info';
  // Not even put together when nobody will read it: it would cost a third of what answering a gateway costs.
  if (logger.isLevelEnabled(level)) {
    const outcome = outcomeOf(reply);
    logger[level](
      {
        ...requestFields(request),
        status: reply.statusCode,
        ...(outcome !== 'ok' && { code: outcome }),
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      },
      'request',
    );
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

/** @param url whose questions from gateways are all one path by now */
function isRoutine(url: string, status: number): boolean {
  return url.startsWith('/health/') || (url === FORWARD_AUTH_PATH && status < 400);
}
