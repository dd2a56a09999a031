import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyReply } from 'fastify';
import {
  type DomainError,
  type FieldError,
  type ErrorCode,
  ValidationFailedError,
} from '../../common/domain.errors.js';
import { MethodNotAllowedError } from './http.errors.js';
import { definitionOf } from './problem.catalogue.js';
import type { EdgeHeaders } from '../response-headers.js';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** RFC 9457, section 3.1, and the extension members of the wire contract. */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly errors?: readonly FieldError[];
  readonly request_id: string;
}

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ProblemBody;
}

const REALM = 'Bearer realm="ratchet"';
const CHALLENGE_ERRORS: Readonly<Partial<Record<ErrorCode, string>>> = {
  access_token_invalid: 'invalid_token',
  access_token_expired: 'invalid_token',
  access_token_revoked: 'invalid_token',
  insufficient_user_authentication: 'insufficient_user_authentication',
  insufficient_role: 'insufficient_scope',
};
const DEFAULT_RETRY_AFTER_SECONDS = 1;

const notedCodes = new WeakMap<FastifyReply, ErrorCode>();

/** The members that depend on the code alone; what the API documentation shows as the example of a code. */
export function problemBody(code: ErrorCode): Omit<ProblemBody, 'errors' | 'request_id'> {
  const { status, title, detail } = definitionOf(code);
  return { type: `urn:ratchet:problem:${code}`, title, status, detail, code };
}

/**
 * Returns what a client is told about an error: constant text per code, never the error's own message, cause or stack.
 * An error with a numeric `retryAfterSeconds` tells the client when to retry, and one with `acrValues` or `maxAgeSeconds`
 * what the user has to prove, and how recently (RFC 9470 section 3).
 */
export function toProblem(error: DomainError, requestId: string): Problem {
  const body = problemBody(error.code);
  return {
    status: body.status,
    headers: problemHeaders(error, body),
    body: {
      ...body,
      ...error.members,
      ...(error instanceof ValidationFailedError && { errors: error.errors }),
      request_id: requestId,
    },
  };
}

/** Answers a request that Fastify knows. The body is bytes because Fastify would add a `charset` to a string. */
export function sendProblem(reply: FastifyReply, error: DomainError, edgeHeaders: EdgeHeaders): void {
  const { status, headers, body } = toProblem(error, reply.request.id);
  void reply
    .code(status)
    .headers({ ...edgeHeaders, 'x-request-id': reply.request.id, ...headers })
    .send(Buffer.from(JSON.stringify(body)));
}

/** Keeps the code of an error that is answered, in whatever form, for the request log and the metrics. */
export function noteProblem(reply: FastifyReply, code: ErrorCode): void {
  notedCodes.set(reply, code);
}

/** Returns the noted code of a request's error, or `ok`. */
export function outcomeOf(reply: FastifyReply): ErrorCode | 'ok' {
  return notedCodes.get(reply) ?? 'ok';
}

/** Answers on a connection whose bytes never became a request, and closes it. */
export function writeProblem(socket: Duplex, error: DomainError, requestId: string, edgeHeaders: EdgeHeaders): void {
  const { status, headers, body } = toProblem(error, requestId);
  const payload = JSON.stringify(body);
  const lines = Object.entries({
    ...edgeHeaders,
    'x-request-id': requestId,
    ...headers,
    connection: 'close',
    'content-length': String(Buffer.byteLength(payload)),
  }).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${payload}`);
}

function problemHeaders(error: DomainError, body: ReturnType<typeof problemBody>): Record<string, string> {
  const challenge = challengeFor(error, body);
  const retryAfterSeconds = retryAfterSecondsOf(error, body.status);
  return {
    'content-type': PROBLEM_MEDIA_TYPE,
    'cache-control': 'no-store',
    ...(challenge !== undefined && { 'www-authenticate': challenge }),
    ...(error instanceof MethodNotAllowedError && { allow: error.allowedMethods.join(', ') }),
    ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
  };
}

/**
 * RFC 9110 section 15.5.2 wants a challenge on every 401; RFC 6750 section 3.1 wants no `error` in it unless a bearer
 * token came with the request and was refused.
 */
function challengeFor(
  error: DomainError,
  { code, status, detail }: ReturnType<typeof problemBody>,
): string | undefined {
  const reason = CHALLENGE_ERRORS[code];
  if (reason !== undefined) {
    return `${REALM}, error="${reason}", error_description="${detail}"${demandOf(error)}`;
  }
  return status === 401 ? REALM : undefined;
}

function demandOf(error: object): string {
  const acrValues =
    'acrValues' in error && typeof error.acrValues === 'string' ? `, acr_values="${error.acrValues}"` : '';
  const maxAge =
    'maxAgeSeconds' in error && typeof error.maxAgeSeconds === 'number' ? `, max_age=${error.maxAgeSeconds}` : '';
  return acrValues + maxAge;
}

function retryAfterSecondsOf(error: DomainError, status: number): number | undefined {
  if ('retryAfterSeconds' in error && typeof error.retryAfterSeconds === 'number') {
    return Math.max(1, Math.ceil(error.retryAfterSeconds));
  }
  return status === 503 ? DEFAULT_RETRY_AFTER_SECONDS : undefined;
}
