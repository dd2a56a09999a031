import { DomainError } from '../platform/common/domain.errors.js';

/** Too many wrong guesses, new accounts or refused tokens of late; nothing was looked at, a later attempt may succeed. */
export class TooManyAttemptsError extends DomainError {
  readonly code = 'too_many_attempts';

  constructor(
    detail: string,
    readonly retryAfterSeconds: number,
  ) {
    super(detail);
  }
}
