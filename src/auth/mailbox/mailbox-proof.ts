import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import type { MailboxProofDto } from './mailbox.dto.js';

/** What shows that a client reads a mailbox: the code of a mail with the ticket of the client that asked, or its link. */
export type MailboxProof =
  | { readonly kind: 'code'; readonly ticket: string; readonly code: string }
  | { readonly kind: 'link'; readonly token: string };

/** @throws ValidationFailedError for neither and for both */
export function readMailboxProof({ ticket, code, token }: MailboxProofDto): MailboxProof {
  if (token !== undefined) {
    if (ticket !== undefined || code !== undefined) {
      throw new ValidationFailedError([{ field: 'token', message: 'must be sent without ticket and code' }]);
    }
    return { kind: 'link', token };
  }
  if (ticket === undefined || code === undefined) {
    const missing = (['ticket', 'code'] as const).filter((member) => ({ ticket, code })[member] === undefined);
    throw new ValidationFailedError(missing.map((field) => ({ field, message: 'must be a string' })));
  }
  return { kind: 'code', ticket, code };
}
