import { DomainError } from '../platform/common/domain.errors.js';

/** Wrong password, or no such account: the client is never told which. */
export class InvalidCredentialsError extends DomainError {
  readonly code = 'invalid_credentials';
}

/** Another account has this canonical e-mail. */
export class EmailTakenError extends DomainError {
  readonly code = 'email_taken';
}
