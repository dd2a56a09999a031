import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { LOCKS } from '../platform/database/locks.js';
import { FamiliesRepository } from './families.repository.js';
import { FORGET_SILENT_INSTANCES } from './heartbeat.statement.js';

const INTERVAL_MS = 60_000;
const BATCH_SIZE = 1_000;

/** Deletes up to `batchSize` rows that are due, and returns how many. */
type BatchDeletion = (transaction: Transaction, batchSize: number) => Promise<number>;

/**
 * Deletes families long past their end, and what other modules add (`alsoClean`), in small batches, never on a request's
 * path, on one instance at a time. Deletes the rows of instances that have ended without a word as well.
 */
@Injectable()
export class TombstoneCleanerService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TombstoneCleanerService.name);
  private readonly job = new Periodic(INTERVAL_MS, () => this.cleanQuietly());
  private readonly deletions: BatchDeletion[];
  private isStopping = false;

  constructor(
    private readonly database: DatabaseService,
    families: FamiliesRepository,
  ) {
    this.deletions = [(transaction, batchSize) => families.deleteTombstones(transaction, batchSize)];
  }

  /** Adds the rows of another module to each run, under the same lock and in the same transactions. */
  alsoClean(deletion: BatchDeletion): void {
    this.deletions.push(deletion);
  }

  onModuleInit(): void {
    this.job.start();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    await this.job.stop();
  }

  /**
   * Deletes every row that is due.
   *
   * @returns how many rows were deleted; 0 also while another instance deletes
   */
  async clean(): Promise<number> {
    let deleted = 0;
    for (;;) {
      const counts = await this.database.tryWithLock(LOCKS.tombstones, (transaction) =>
        this.deleteBatches(transaction),
      );
      deleted += counts?.reduce((sum, count) => sum + count, 0) ?? 0;
      if (!counts?.includes(BATCH_SIZE) || this.isStopping) {
        return deleted;
      }
    }
  }

  private async deleteBatches(transaction: Transaction): Promise<readonly number[]> {
    const counts: number[] = [];
    for (const deleteBatch of this.deletions) {
      counts.push(await deleteBatch(transaction, BATCH_SIZE));
    }
    return counts;
  }

  private async cleanQuietly(): Promise<void> {
    try {
      await this.database.query(FORGET_SILENT_INSTANCES);
      const deleted = await this.clean();
      if (deleted > 0) {
        this.logger.log({ event: 'tombstones_deleted', msg: 'deleted what is long past its end', count: deleted });
      }
    } catch (error) {
      this.logger.warn({
        event: 'clean_up_failed',
        msg: 'deleting what is long past its end failed; will retry',
        reason: messageOf(error),
      });
    }
  }
}
