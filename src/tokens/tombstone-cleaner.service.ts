import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { messageOf } from '../platform/common/is-error.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { FamiliesRepository } from './families.repository.js';

const INTERVAL_MS = 60_000;
const BATCH_SIZE = 1_000;

/** Any number that nothing else in this database locks. */
const CLEANER_LOCK_KEY = 7_246_824_002;

/** Deletes families long past their end, in small batches, never on a request's path, on one instance at a time. */
@Injectable()
export class TombstoneCleanerService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TombstoneCleanerService.name);
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private isStopping = false;

  constructor(
    private readonly database: DatabaseService,
    private readonly families: FamiliesRepository,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => {
      this.running = this.running.then(() => this.cleanQuietly());
    }, INTERVAL_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.timer);
    await this.running;
  }

  /**
   * Deletes all that is due. The lock is of the transaction, so it works behind a pooler and dies with its holder.
   *
   * @returns how many families were deleted; 0 also when another instance is at it
   */
  async clean(): Promise<number> {
    let deleted = 0;
    for (;;) {
      const batch = await this.database.transaction(async (transaction) => {
        const [lock] = await transaction.query<{ is_ours: boolean }>(
          'select pg_try_advisory_xact_lock($1) as is_ours',
          [CLEANER_LOCK_KEY],
        );
        return lock?.is_ours === true ? this.families.deleteTombstones(transaction, BATCH_SIZE) : 0;
      });
      deleted += batch;
      if (batch < BATCH_SIZE || this.isStopping) {
        return deleted;
      }
    }
  }

  private async cleanQuietly(): Promise<void> {
    try {
      const deleted = await this.clean();
      if (deleted > 0) {
        this.logger.log({ event: 'tombstones_deleted', msg: 'deleted sessions long past their end', count: deleted });
      }
    } catch (error) {
      this.logger.warn({
        event: 'clean_up_failed',
        msg: 'the clean-up failed and will be tried again',
        reason: messageOf(error),
      });
    }
  }
}
