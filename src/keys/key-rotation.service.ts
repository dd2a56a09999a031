import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { messageOf } from '../platform/common/is-error.js';
import { isDatabaseUnavailable } from '../platform/database/database.errors.js';
import { KeyLifeCycleService } from './key-life-cycle.service.js';
import { KeysService } from './keys.service.js';

const INTERVAL_MS = 60_000;

/**
 * Carries the signing keys through their lives. Every instance asks every minute whether something is due, and a lock
 * lets one of them do it.
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

  /** A command has this service too, and perhaps not the configuration of those that serve: it changes no key by itself. */
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

  /** Does what is due, unless another instance is at it. A failure is logged, and the next tick tries again. */
  async tick(): Promise<void> {
    try {
      this.kidsAtStart ??= await this.lifeCycle.kids();
      if (await this.lifeCycle.advance(this.kidsAtStart)) {
        await this.keys.reload();
      }
    } catch (error) {
      const report = {
        event: 'key_rotation_failed',
        msg: 'the signing keys could not be looked after; it will be tried again',
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
