import { DomainError } from '../platform/common/domain.errors.js';

/** No client identifies itself, another one does, or ours tries to prove who it is, which a public client cannot. */
export class InvalidClientError extends DomainError {
  readonly code = 'validation_failed';

  /** @param cameInHeader whether the client used the `Authorization` header, which HTTP answers with a challenge */
  constructor(
    detail: string,
    readonly cameInHeader = false,
  ) {
    super(detail);
  }
}

export class UnsupportedGrantTypeError extends DomainError {
  readonly code = 'validation_failed';
}

/** Not of the syntax of RFC 6749 section 3.3, so that nobody can have been granted it. */
export class MalformedScopeError extends DomainError {
  readonly code = 'validation_failed';
}
