import { DatabaseError } from 'pg';
import { TemporarilyUnavailableError } from '../common/domain.errors.js';
import { messageOf } from '../common/message-of.js';

/**
 * The connection died, or stopped answering, after a statement had been sent: the statement may have committed.
 * `DatabaseService.settle` turns it into an answer; for a statement that changes nothing it means the same as
 * "unavailable".
 */
export class ConnectionLostError extends Error {
  constructor(cause: unknown) {
    super(`the database connection was lost: ${messageOf(cause)}`, { cause });
    this.name = 'ConnectionLostError';
  }
}

/**
 * The session cannot write: its server is a standby, or is read-only for now. A new connection may lead to the primary,
 * so this one must not be used again.
 */
export class ReadOnlySessionError extends Error {
  constructor() {
    super('the server is a standby, or its transactions are read-only');
    this.name = 'ReadOnlySessionError';
  }
}

/** The database cannot be used as it is; the message says what to change. */
export class DatabaseUnusableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseUnusableError';
  }
}

/**
 * SQLSTATEs after which the server has rolled the statement back and a later attempt may succeed: too many
 * connections, out of resources, a statement or lock time-out, a serialization failure or deadlock, and a read-only
 * server (a failover in progress has left us on a standby).
 */
const RETRYABLE_SQLSTATES = /^(53|40001|40P01|57014|55P03|25006)/;

/** The backend itself went away: administrator shutdown, crash, or connection exception. */
const CONNECTION_SQLSTATES = /^(08|57P)/;

const NETWORK_CODES =
  /^(ECONNABORTED|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTDOWN|EHOSTUNREACH|ENETDOWN|ENETUNREACH)$/;

/** The driver reports a broken or silent connection in words alone. */
const LOST_CONNECTION_TEXTS =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client (was closed|has encountered a connection error) and is not queryable)/;

/**
 * Returns what a failed statement means as one of our errors. Any other error is a defect and is returned unchanged.
 */
export function translateStatementError(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) {
    // node-postgres reports a broken or silent connection as a plain Error.
    return error instanceof Error ? new ConnectionLostError(error) : error;
  }
  const sqlState = error.code ?? '';
  if (CONNECTION_SQLSTATES.test(sqlState)) {
    return new ConnectionLostError(error);
  }
  if (RETRYABLE_SQLSTATES.test(sqlState)) {
    return new TemporarilyUnavailableError(`the database refused a statement: ${sqlState}`, { cause: error });
  }
  return error;
}

/** Whether the connection that met this translated error must not be used again. */
export function isConnectionSpent(error: unknown): boolean {
  return error instanceof ConnectionLostError || (error instanceof Error && isReadOnlyRefusal(error.cause));
}

function isReadOnlyRefusal(error: unknown): boolean {
  return error instanceof ReadOnlySessionError || (error instanceof DatabaseError && error.code === '25006');
}

/** Whether an error, translated or not, means that the database is unavailable. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (
    error instanceof ConnectionLostError ||
    error instanceof TemporarilyUnavailableError ||
    error instanceof ReadOnlySessionError
  ) {
    return true;
  }
  if (error instanceof DatabaseError) {
    const sqlState = error.code ?? '';
    return CONNECTION_SQLSTATES.test(sqlState) || RETRYABLE_SQLSTATES.test(sqlState);
  }
  return (
    error instanceof Error &&
    (NETWORK_CODES.test(codeOf(error)) ||
      LOST_CONNECTION_TEXTS.test(error.message) ||
      ('driverError' in error && error.driverError !== error && isDatabaseUnavailable(error.driverError)))
  );
}

/** Whether a unique constraint of this name refused the row. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  const driverError = driverErrorOf(error);
  return driverError instanceof DatabaseError && driverError.code === '23505' && driverError.constraint === constraint;
}

/**
 * Whether the role lacks a privilege that a statement needs. A role that may use no schema at all gets another error:
 * no schema to create in.
 */
export function isPermissionDenied(error: unknown): boolean {
  const driverError = driverErrorOf(error);
  return driverError instanceof DatabaseError && (driverError.code === '42501' || driverError.code === '3F000');
}

/** TypeORM wraps what the driver threw. */
function driverErrorOf(error: unknown): unknown {
  return error instanceof Error && 'driverError' in error ? error.driverError : error;
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
