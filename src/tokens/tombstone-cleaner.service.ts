import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { LOCKS } from '../platform/database/locks.js';
import { FamiliesRepository } from './families.repository.js';
import { FORGET_SILENT_INSTANCES } from './heartbeat.statement.js';

const INTERVAL_MS = 60_000;
const BATCH_SIZE = 1_000;

/**
 * Deletes families long past their end, in small batches, never on a request's path, on one instance at a time; also
 * the rows of instances that have ended without a word.
 */
@Injectable()
export class TombstoneCleanerService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TombstoneCleanerService.name);
  private readonly job = new Periodic(INTERVAL_MS, () => this.cleanQuietly());
  private isStopping = false;

  constructor(
    private readonly database: DatabaseService,
    private readonly families: FamiliesRepository,
  ) {}

  onModuleInit(): void {
    this.job.start();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    await this.job.stop();
  }

  /**
   * Deletes every family that is due.
   *
   * @returns how many families were deleted; 0 also while another instance deletes
   */
  async clean(): Promise<number> {
    let deleted = 0;
    for (;;) {
      const batch = await this.database.tryWithLock(LOCKS.tombstones, (transaction) =>
        this.families.deleteTombstones(transaction, BATCH_SIZE),
      );
      deleted += batch ?? 0;
      if (batch !== BATCH_SIZE || this.isStopping) {
        return deleted;
      }
    }
  }

  private async cleanQuietly(): Promise<void> {
    try {
      await this.database.query(FORGET_SILENT_INSTANCES);
      const deleted = await this.clean();
      if (deleted > 0) {
        this.logger.log({ event: 'tombstones_deleted', msg: 'deleted sessions long past their end', count: deleted });
      }
    } catch (error) {
      this.logger.warn({
        event: 'clean_up_failed',
        msg: 'deleting old sessions failed; will retry',
        reason: messageOf(error),
      });
    }
  }
}
