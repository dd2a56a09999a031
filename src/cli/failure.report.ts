import { bootFailureText } from '../boot.report.js';
import { NotFoundError, OutcomeUnknownError, ValidationFailedError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/message-of.js';
import { isDatabaseUnavailable, isPermissionDenied } from '../platform/database/database.errors.js';
import { EmailTakenError } from '../users/users.errors.js';
import { CommandFailedError } from './command.errors.js';

/** Says why a command failed. Only an unexpected error gets a stack. */
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
    return 'This user no longer exists.';
  }
  if (error instanceof OutcomeUnknownError) {
    return 'The connection to the database was lost. Check whether the change was made, and repeat the command if not.';
  }
  if (isDatabaseUnavailable(error)) {
    return `The database is unavailable; nothing was done: ${messageOf(error)}`;
  }
  if (isPermissionDenied(error)) {
    return "The role of DATABASE_URL may not do this; nothing was done. Connect as the operator's, see postgres/roles.sql.";
  }
  return bootFailureText(error);
}
