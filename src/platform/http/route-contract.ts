import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DomainError } from '../common/domain.errors.js';

/** Answers with an error in the words of one protocol. */
export type ErrorWriter = (reply: FastifyReply, error: DomainError) => void;

/** How a route differs from the rule, which is JSON in and problems (RFC 9457) out. */
export interface RouteContract {
  readonly readsForm: boolean;
  readonly writeError: ErrorWriter;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly contract?: RouteContract;
  }
}

export function readsForm(request: FastifyRequest): boolean {
  return request.routeOptions.config.contract?.readsForm === true;
}

/** @returns undefined where errors are problems */
export function errorWriterOf(request: FastifyRequest): ErrorWriter | undefined {
  return request.routeOptions.config.contract?.writeError;
}
