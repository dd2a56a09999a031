import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { isDatabaseUnavailable } from '../platform/database/database.errors.js';
import { KeyLifeCycleService } from './key-life-cycle.service.js';
import { KeysService } from './keys.service.js';

const INTERVAL_MS = 60_000;

/**
 * Rotates the signing keys. Every instance checks every minute whether a transition is due, and a lock lets one of them
 * apply it.
 */
@Injectable()
export class KeyRotationService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(KeyRotationService.name);
  private readonly job = new Periodic(INTERVAL_MS, () => this.tick());
  private kidsAtStart: ReadonlySet<string> | undefined;

  constructor(
    private readonly lifeCycle: KeyLifeCycleService,
    private readonly keys: KeysService,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.tick();
    this.job.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.job.stop();
  }

  /** Applies due transitions unless another instance does. A failure is logged, and the next tick retries. */
  async tick(): Promise<void> {
    try {
      this.kidsAtStart ??= await this.lifeCycle.kids();
      if (await this.lifeCycle.advance(this.kidsAtStart)) {
        await this.keys.reload();
      }
    } catch (error) {
      const report = {
        event: 'key_rotation_failed',
        msg: 'signing key rotation failed; will retry',
        reason: messageOf(error),
      };
      if (isDatabaseUnavailable(error)) {
        this.logger.warn(report);
      } else {
        this.logger.error(report);
      }
    }
  }
}
