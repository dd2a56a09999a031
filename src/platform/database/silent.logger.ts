import { AbstractLogger } from 'typeorm';

/**
 * TypeORM writes failed migrations to standard output, whatever its `logging` says, and would break into the log there.
 * What failed is thrown as well.
 */
export class SilentLogger extends AbstractLogger {
  protected override writeLog(): void {
    // The caller that catches the error logs it.
  }
}
