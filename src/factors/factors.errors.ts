import { DomainError } from '../platform/common/domain.errors.js';

/** The code or the passkey is wrong, has been used, or is not of this user; one error for all. */
export class SecondFactorInvalidError extends DomainError {
  readonly code = 'second_factor_invalid';
}
