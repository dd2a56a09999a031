import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { isDatabaseUnavailable } from '../platform/database/database.errors.js';
import type { DatabaseService } from '../platform/database/database.service.js';
import { Counter, Counters, type CounterSettings } from './counter.js';

/** What the library hands to a `pg.Pool`. */
interface NamedQuery {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Keeps counters in the unlogged table `rate_limits`; a crash of the database server loses them, and nothing else. */
export class PostgresCounters extends Counters {
  private isCleaned = false;

  constructor(private readonly database: DatabaseService) {
    super();
  }

  counter({ name, limit, windowSeconds }: CounterSettings): Counter {
    const limiter = new RateLimiterPostgres({
      storeClient: { query: (query: NamedQuery) => this.run(query) },
      storeType: 'pool',
      tableName: 'rate_limits',
      tableCreated: true,
      // Deletes expired keys of all counters, so one of them is enough.
      clearExpiredByTimeout: !this.isCleaned,
      keyPrefix: name,
      points: limit,
      duration: windowSeconds,
    });
    this.isCleaned = true;
    return new Counter(limiter, isDatabaseUnavailable);
  }

  /** Runs a statement of the library through the service's own pool, which handles lost connections. */
  private async run({ name, text, values }: NamedQuery): Promise<{ rows: object[]; rowCount: number }> {
    const rows = await this.database.queryPrepared({ name, text }, values);
    return { rows, rowCount: rows.length };
  }
}
