import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { Periodic } from '../platform/common/periodic.js';
import { isDatabaseUnavailable } from '../platform/database/database.errors.js';
import type { DatabaseService } from '../platform/database/database.service.js';
import { Counters, type StoredChanges, type StoredTake, type Taken } from './counter.js';
import {
  CHANGE_COUNTERS,
  DELETE_EXPIRED,
  HAS_COUNTER,
  TAKE_FROM_COUNTERS,
  type TakenRow,
} from './counters.statement.js';

const CLEANING_INTERVAL_MS = 300_000;

/** Keeps counters in the unlogged table `rate_limits`; a crash of the database server loses them, and nothing else. */
export class PostgresCounters extends Counters implements OnModuleInit, OnApplicationShutdown {
  private readonly cleaning = new Periodic(CLEANING_INTERVAL_MS, () => this.clean());

  constructor(private readonly database: DatabaseService) {
    super();
  }

  onModuleInit(): void {
    this.cleaning.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.cleaning.stop();
  }

  protected async takeStored(takes: readonly StoredTake[]): Promise<readonly Taken[]> {
    const rows = await this.database.queryPrepared<TakenRow>(TAKE_FROM_COUNTERS, [
      takes.map(({ key }) => key),
      takes.map(({ points }) => points),
      takes.map(({ limit }) => limit),
      takes.map(({ windowMs }) => windowMs),
    ]);
    const byKey = new Map(rows.map((row) => [row.key, row]));
    return takes.map(({ key }) => {
      const row = byKey.get(key);
      if (row === undefined) {
        throw new Error('a counter was not returned');
      }
      return { isTaken: row.is_taken, points: row.points, remainingSeconds: row.remaining_seconds };
    });
  }

  protected async changeStored({ givenBack, set }: StoredChanges): Promise<void> {
    await this.database.queryPrepared(CHANGE_COUNTERS, [
      givenBack.map(({ key }) => key),
      givenBack.map(({ points }) => points),
      set.map(({ key }) => key),
      set.map(({ points }) => points),
      set.map(({ windowMs }) => windowMs),
    ]);
  }

  protected async hasStored(key: string): Promise<boolean> {
    return (await this.database.queryPrepared(HAS_COUNTER, [key])).length > 0;
  }

  protected isUnavailable(error: unknown): boolean {
    return isDatabaseUnavailable(error);
  }

  /** A failure matters to nothing: the rows have expired, and the next run deletes them. */
  private async clean(): Promise<void> {
    await this.database.query(DELETE_EXPIRED).catch(() => undefined);
  }
}
