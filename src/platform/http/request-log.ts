import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { OnceAMinute } from '../logging/once-a-minute.js';
import { redactLine } from '../logging/redaction.js';
import { FORWARD_AUTH_PATH } from './forward-auth.js';
import { outcomeOf } from './problems/problem.js';
import { sessionOf } from './request-session.js';

const MAX_PATH_LENGTH = 200;

/** Longer than any secret that begins within the part that is logged, so that its end is seen, too. */
const MAX_SEARCHED_PATH_LENGTH = 1_024;

/** An address of any kind is shorter; in place of one, a proxy may write anything. */
const MAX_ADDRESS_LENGTH = 64;

/**
 * Logs one line at the end of each request; frequent requests of probes and gateways, and those that an outage refuses,
 * only at debug. Of requests whose clients hang up, one a minute is logged at info.
 */
export function logRequests(instance: FastifyInstance, logger: Logger, frequent: OnceAMinute): void {
  instance.addHook('onResponse', (request, reply, done) => {
    logRequest(logger, request, reply);
    done();
  });
  instance.addHook('onRequestAbort', (request, done) => {
    const untold = frequent.tell('request aborted');
    const level = untold === undefined ? 'debug' : 'info';
    logger[level]({ ...requestFields(request), ...(untold && { untold }) }, 'request aborted by the client');
    done();
  });
}

/**
 * Never logs the query string or any part of a token in the path: clients put tokens there against RFC 6750 section
 * 5.3.
 */
export function logRequest(logger: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const level = isRoutine(request.url, reply.statusCode) ? 'debug' : 'info';
  // Built only if it will be written: it would cost a third of what answering a gateway costs.
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

function requestFields(request: FastifyRequest): Readonly<Record<string, string>> {
  const path = request.url.split(/[?#]/, 1)[0] ?? '';
  const { sessionId, userId } = sessionOf(request) ?? {};
  return {
    method: request.method,
    path: redactLine(path.slice(0, MAX_SEARCHED_PATH_LENGTH)).slice(0, MAX_PATH_LENGTH),
    request_id: request.id,
    ip: request.ip.slice(0, MAX_ADDRESS_LENGTH),
    ...(userId !== undefined && { user_id: userId }),
    ...(sessionId !== undefined && { session_id: sessionId }),
  };
}

/** @param url in which all requests of gateways have the same path by now */
function isRoutine(url: string, status: number): boolean {
  return status === 503 || url.startsWith('/health/') || (url === FORWARD_AUTH_PATH && status < 400);
}
