import { DomainError } from '../platform/common/domain.errors.js';

/** The client names itself not at all or wrongly, or tries to prove who it is, which a public client cannot. */
export class InvalidClientError extends DomainError {
  readonly code = 'invalid_client';
}

/** The same by the `Authorization` header, which HTTP answers with a challenge. */
export class ClientCredentialsInHeaderError extends DomainError {
  readonly code = 'client_credentials_in_header';
}

export class UnsupportedGrantTypeError extends DomainError {
  readonly code = 'unsupported_grant_type';
}
