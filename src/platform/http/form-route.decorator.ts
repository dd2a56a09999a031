import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import type { ErrorWriter, RouteContract } from './route-contract.js';

/** Name → value; a map, so that no name can be one of an object's own. Without the parameters that have no value. */
export type Form = ReadonlyMap<string, string>;

const EMPTY_FORM: Form = new Map();

/**
 * For a route whose body is a form and nothing else, and whose errors are written by `writeError` from the moment the
 * route is known, so that they are of one kind whether a parser, a guard or a service refuses.
 */
export function FormRoute(writeError: ErrorWriter): MethodDecorator {
  const contract: RouteContract = { readsForm: true, writeError };
  return RouteConfig({ contract });
}

/** The form that came with the request, empty when none did. */
export const FormBody = createParamDecorator((_data: unknown, context: ExecutionContext): Form => {
  const { body } = context.switchToHttp().getRequest<FastifyRequest<{ Body: Form | undefined }>>();
  return body ?? EMPTY_FORM;
});
