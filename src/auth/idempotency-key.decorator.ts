import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ValidationFailedError } from '../platform/common/domain.errors.js';

/**
 * 22 characters of base64url are 128 bits. Visible ASCII only; Node joins repeated headers with ", ", which is refused.
 */
const SHAPE = /^[\x21-\x7e]{22,128}$/;

/** Documents the header. */
export const ApiIdempotencyKey = (): MethodDecorator =>
  ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: '22 to 128 visible ASCII characters, fresh and random for this one refresh, e.g. a UUID.',
    schema: { type: 'string', minLength: 22, maxLength: 128 },
  });

/**
 * Gives the `Idempotency-Key` of the request, whose bytes are opaque; undefined when none came.
 *
 * @throws ValidationFailedError for another shape, and for two headers
 */
export const IdempotencyKey = createParamDecorator((_data: unknown, context: ExecutionContext): string | undefined =>
  readIdempotencyKey(context.switchToHttp().getRequest<FastifyRequest>().headers['idempotency-key']),
);

export function readIdempotencyKey(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) {
    return undefined;
  }
  if (typeof header !== 'string' || !SHAPE.test(header)) {
    throw new ValidationFailedError([
      { field: 'Idempotency-Key', message: 'must be one header of 22 to 128 visible ASCII characters' },
    ]);
  }
  return header;
}
