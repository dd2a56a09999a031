import { bootFailureText } from '../boot.report.js';
import { NotFoundError, OutcomeUnknownError, ValidationFailedError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/is-error.js';
import { isDatabaseUnavailable, isPermissionDenied } from '../platform/database/database.errors.js';
import { EmailTakenError } from '../users/users.errors.js';
import { CommandFailedError } from './command.errors.js';

/** Says why a command did not do what was asked; a stack only for what nobody has foreseen. */
export function failureText(error: unknown): string {
  if (error instanceof CommandFailedError) {
    return error.message;
  }
  if (error instanceof ValidationFailedError) {
    return `Refused: ${error.errors.map(({ field, message }) => `${field} ${message}`).join('; ')}.`;
  }
  if (error instanceof EmailTakenError) {
    return 'Refused: another account has this e-mail.';
  }
  if (error instanceof NotFoundError) {
    return 'There is no such user any more.';
  }
  if (error instanceof OutcomeUnknownError) {
    return 'The database went away in the middle. Look whether the change was made, and repeat it if not.';
  }
  if (isDatabaseUnavailable(error)) {
    return `The database cannot be used, nothing was done: ${messageOf(error)}`;
  }
  if (isPermissionDenied(error)) {
    return "The role of DATABASE_URL may not do this; nothing was done. Connect as the operator's, see postgres/roles.sql.";
  }
  return bootFailureText(error);
}
