import { HttpException } from '@nestjs/common';
import {
  DomainError,
  MalformedRequestError,
  NotFoundError,
  TemporarilyUnavailableError,
} from '../../common/domain.errors.js';
import { isDatabaseUnavailable } from '../../database/database.errors.js';
import { HeadersTooLargeError, InternalError, PayloadTooLargeError, UnsupportedMediaTypeError } from './http.errors.js';

/**
 * Gives every error a documented code: domain errors have one, errors of the frameworks get one by their 4xx status, an
 * unavailable database is a 503, and everything else is a defect.
 */
export function toDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) {
    return error;
  }
  // Before the database: the stream of a client that hung up fails with ECONNRESET too, and Fastify marks it as a 400.
  const clientErrorStatus = clientErrorStatusOf(error);
  if (clientErrorStatus !== undefined) {
    return clientErrorFor(clientErrorStatus, error);
  }
  if (isDatabaseUnavailable(error)) {
    return new TemporarilyUnavailableError('the database is unavailable', { cause: error });
  }
  return new InternalError('', { cause: error });
}

function clientErrorStatusOf(error: unknown): number | undefined {
  const status =
    error instanceof HttpException
      ? error.getStatus()
      : typeof error === 'object' && error !== null && 'statusCode' in error
        ? error.statusCode
        : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

function clientErrorFor(status: number, cause: unknown): DomainError {
  switch (status) {
    case 404:
    // A path parameter longer than any of ours names nothing.
    case 414:
      return new NotFoundError('', { cause });
    case 413:
      return new PayloadTooLargeError('', { cause });
    case 415:
      return new UnsupportedMediaTypeError('', { cause });
    case 431:
      return new HeadersTooLargeError('', { cause });
    default:
      return new MalformedRequestError('', { cause });
  }
}
