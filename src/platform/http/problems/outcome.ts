import type { FastifyReply } from 'fastify';
import type { ProblemCode } from '../../common/domain.errors.js';

const codes = new WeakMap<FastifyReply, ProblemCode>();

/** To be called with every problem that is answered. */
export function noteProblem(reply: FastifyReply, code: ProblemCode): void {
  codes.set(reply, code);
}

/** What came of a request: one of the documented codes, or `ok`. */
export function outcomeOf(reply: FastifyReply): ProblemCode | 'ok' {
  return codes.get(reply) ?? 'ok';
}
