import { DomainError } from '../platform/common/domain.errors.js';

/** The user has as many passkeys as a user can have. */
export class TooManyPasskeysError extends DomainError {
  readonly code = 'too_many_passkeys';
}

/** The code or the passkey is wrong, has been used, or is not of this user; one error for all. */
export class SecondFactorInvalidError extends DomainError {
  readonly code = 'second_factor_invalid';
}
