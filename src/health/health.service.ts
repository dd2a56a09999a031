import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { Readiness } from '../platform/common/readiness.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { KeysService } from '../keys/keys.service.js';
import { RevokedSessionsService } from '../tokens/revoked-sessions.service.js';

@Injectable()
export class HealthService implements OnApplicationBootstrap, OnModuleDestroy {
  private checkInFlight: Promise<void> | undefined;
  private isStarted = false;

  constructor(
    private readonly database: DatabaseService,
    private readonly keys: KeysService,
    private readonly revoked: RevokedSessionsService,
    private readonly readiness: Readiness,
  ) {}

  /** The keys and the whole window of ended sessions are loaded by now; the schema was current before. */
  onApplicationBootstrap(): void {
    this.isStarted = true;
  }

  /** Runs when the shutdown begins, before the server stops taking requests. */
  onModuleDestroy(): void {
    this.readiness.leave();
  }

  /**
   * Asks nothing, so that an outage of the database does not take every instance out of service at once, and with them
   * the public keys and verification.
   *
   * @throws TemporarilyUnavailableError before the start is complete, and from the begin of the shutdown on
   */
  requireStarted(): void {
    if (!this.isStarted || this.readiness.isLeaving) {
      throw new TemporarilyUnavailableError('the instance is starting or shutting down');
    }
  }

  /**
   * Probes that arrive together share one query, so that they never add to the load of the database.
   *
   * @throws TemporarilyUnavailableError with a message, for the log, that names what is missing
   */
  async requireReady(): Promise<void> {
    this.checkInFlight ??= this.check().finally(() => {
      this.checkInFlight = undefined;
    });
    await this.checkInFlight;
  }

  private async check(): Promise<void> {
    const obstacle = this.readiness.findObstacle();
    if (obstacle !== undefined) {
      throw new TemporarilyUnavailableError(obstacle);
    }
    if (!this.keys.isLoaded()) {
      throw new TemporarilyUnavailableError('no signing key is loaded');
    }
    if (!this.revoked.isCurrent()) {
      throw new TemporarilyUnavailableError('the revocation feed is not current');
    }
    if (!(await this.database.isSchemaCurrent())) {
      throw new TemporarilyUnavailableError('migrations are pending');
    }
  }
}
