import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ValidationFailedError } from '../platform/common/domain.errors.js';

/** 22 characters of base64url are 128 bits. */
const MIN_CHARACTERS = 22;
const MAX_CHARACTERS = 128;

/** Visible ASCII only; Node joins repeated headers with ", ", which is refused. */
const SHAPE = new RegExp(`^[!-~]{${MIN_CHARACTERS},${MAX_CHARACTERS}}$`);

/** Documents the header. */
export const ApiIdempotencyKey = (): MethodDecorator =>
  ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'Visible ASCII characters, fresh and random for this one refresh, e.g. a UUID.',
    schema: { type: 'string', minLength: MIN_CHARACTERS, maxLength: MAX_CHARACTERS, pattern: SHAPE.source },
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
