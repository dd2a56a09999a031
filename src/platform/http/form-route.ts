import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiConsumes } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DomainError } from '../common/domain.errors.js';

export const FORM_MEDIA_TYPE = 'application/x-www-form-urlencoded';

/** Name → value, without the parameters that have no value. A map, so that no name can be one of an object's own. */
export type Form = ReadonlyMap<string, string>;

/** Answers with an error in the words of one protocol. */
export type ErrorWriter = (reply: FastifyReply, error: DomainError) => void;

/** How a route differs from the rule, which is JSON in and problems (RFC 9457) out. */
interface RouteContract {
  readonly readsForm: boolean;
  readonly writeError: ErrorWriter;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly contract?: RouteContract;
  }
}

const adoptedWriters = new WeakMap<FastifyRequest, ErrorWriter>();

const EMPTY_FORM: Form = new Map();

/**
 * Makes a route read forms and nothing else. From the moment the route is known, `writeError` writes its errors, so
 * that they are of one kind whether a parser, a guard or a service refuses.
 */
export function FormRoute(writeError: ErrorWriter): MethodDecorator {
  const contract: RouteContract = { readsForm: true, writeError };
  return applyDecorators(RouteConfig({ contract }), ApiConsumes(FORM_MEDIA_TYPE));
}

/** The form that came with the request, empty when none did. */
export const FormBody = createParamDecorator((_data: unknown, context: ExecutionContext): Form => {
  const { body } = context.switchToHttp().getRequest<FastifyRequest<{ Body: Form | undefined }>>();
  return body ?? EMPTY_FORM;
});

export function readsForm(request: FastifyRequest): boolean {
  return request.routeOptions.config.contract?.readsForm === true;
}

/** Answers a request that no route matches in the words of the route that has its path for other methods. */
export function writeErrorsAs(request: FastifyRequest, writeError: ErrorWriter): void {
  adoptedWriters.set(request, writeError);
}

/** @returns undefined where errors are problems */
export function errorWriterOf(request: FastifyRequest): ErrorWriter | undefined {
  return request.routeOptions.config.contract?.writeError ?? adoptedWriters.get(request);
}
