import { Injectable } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { Readiness } from '../platform/common/readiness.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { KeysService } from '../keys/keys.service.js';
import { RevokedSessionsService } from '../tokens/revoked-sessions.service.js';

@Injectable()
export class HealthService {
  private checkInFlight: Promise<void> | undefined;

  constructor(
    private readonly database: DatabaseService,
    private readonly keys: KeysService,
    private readonly revoked: RevokedSessionsService,
    private readonly readiness: Readiness,
  ) {}

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
