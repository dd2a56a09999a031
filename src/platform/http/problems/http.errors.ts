import { DomainError } from '../../common/domain.errors.js';

/** The path exists under other methods. */
export class MethodNotAllowedError extends DomainError {
  readonly code = 'method_not_allowed';

  /** @param allowedMethods upper-case, for the `Allow` header that RFC 9110 section 15.5.6 asks for. */
  constructor(readonly allowedMethods: readonly string[]) {
    super();
  }
}

export class PayloadTooLargeError extends DomainError {
  readonly code = 'payload_too_large';
}

export class UnsupportedMediaTypeError extends DomainError {
  readonly code = 'unsupported_media_type';
}

export class HeadersTooLargeError extends DomainError {
  readonly code = 'headers_too_large';
}

/** A defect; `cause` is the unexpected error that reached the edge. */
export class InternalError extends DomainError {
  readonly code = 'internal_error';
}
