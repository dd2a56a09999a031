import { DomainError } from '../platform/common/domain.errors.js';

/** Not a ticket that this service issued for this, or one that is unknown, expired, used, superseded or exhausted. */
export class TicketInvalidError extends DomainError {
  readonly code = 'ticket_invalid';
}

/** The typed code is wrong, and the ticket may still be good. How many attempts are left stays hidden. */
export class CodeInvalidError extends DomainError {
  readonly code = 'code_invalid';
}
