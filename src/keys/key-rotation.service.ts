import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { messageOf } from '../platform/common/is-error.js';
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
  private kidsAtStart: ReadonlySet<string> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly lifeCycle: KeyLifeCycleService,
    private readonly keys: KeysService,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /** Does nothing in a command, whose configuration may differ from that of the instances that serve. */
  async onApplicationBootstrap(): Promise<void> {
    if (!this.serves()) {
      return;
    }
    await this.tick();
    this.timer = setInterval(() => {
      this.running = this.running.then(() => this.tick());
    }, INTERVAL_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.running;
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

  private serves(): boolean {
    const adapter: unknown = this.adapterHost.httpAdapter;
    return adapter !== undefined && adapter !== null;
  }
}
