import { DomainError } from '../platform/common/domain.errors.js';

/**
 * Too many wrong passwords, new accounts or refused tokens recently. Nothing was checked; a later attempt may succeed.
 */
export class TooManyAttemptsError extends DomainError {
  readonly code = 'too_many_attempts';

  constructor(
    detail: string,
    readonly retryAfterSeconds: number,
  ) {
    super(detail);
  }
}
