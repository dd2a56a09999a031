import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DomainError, PROBLEM_CATALOGUE, type ProblemCode, toOAuthAnswer, toProblem } from '@ratchet/server/internal';
import type { FaultBody } from '../contract.js';

export const FAULT_CODES = Object.keys(PROBLEM_CATALOGUE) as ProblemCode[];

/** An error of the service that nothing in it has raised. */
class InjectedError extends DomainError {
  constructor(readonly code: ProblemCode) {
    super();
  }
}

/**
 * Answers as the service answers with this code, or, for a status that it has no code for, as a proxy in front of it does:
 * without a body.
 *
 * @returns the code of the answer
 */
export function answerInstead(
  fault: FaultBody,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): string | undefined {
  const code = FAULT_CODES.find((each) => each === fault.code) ?? codeOfStatus(fault.status);
  const retryAfter = fault.retry_after === undefined ? {} : { 'retry-after': String(fault.retry_after) };
  if (code === undefined) {
    response.writeHead(fault.status ?? 503, { 'content-length': 0, ...retryAfter });
    response.end();
    return undefined;
  }
  const offered = request.headers['x-request-id'];
  const requestId = typeof offered === 'string' ? offered : randomUUID();
  const error = new InjectedError(code);
  const { status, headers, body } = path.startsWith('/oauth/')
    ? toOAuthAnswer(error, requestId)
    : toProblem(error, requestId);
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(fault.status ?? status, {
    ...headers,
    'x-request-id': requestId,
    ...retryAfter,
    'content-length': bytes.length,
  });
  response.end(bytes);
  return code;
}

function codeOfStatus(status: number | undefined): ProblemCode | undefined {
  // 503 without a code is the outage that clients ride out.
  return status === 503
    ? 'temporarily_unavailable'
    : FAULT_CODES.find((code) => PROBLEM_CATALOGUE[code].status === status);
}
