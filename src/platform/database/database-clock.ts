import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { Readiness } from '../common/readiness.js';
import { Config } from '../config/config.js';

const WARNING_SECONDS = 5;

/** Below the warning, so that a difference that hovers around it is told once. */
const ALL_CLEAR_SECONDS = 4;

/**
 * Tells the database's time without a query: what the database said last, carried on by the monotonic clock. So access
 * tokens end by the clock by which they were issued, however wrong the clock of this instance is, and also when it jumps.
 *
 * Warns when the two clocks differ by more than 5 s. Beyond half of `ACCESS_TOKEN_TTL_SECONDS` the instance is not ready:
 * one of the two is wrong by so much that a verifier with a right clock refuses fresh tokens, or accepts old ones, for
 * half of their life.
 */
@Injectable()
export class DatabaseClock {
  private readonly logger = new Logger(DatabaseClock.name);
  /** How far the database's clock is ahead of the monotonic one; undefined until the database has answered. */
  private aheadMs: number | undefined;
  private isWarned = false;

  constructor(
    private readonly clock: Clock,
    readiness: Readiness,
    { accessTokens: { ttlSeconds } }: Config,
  ) {
    readiness.addCheck(() => {
      const offset = this.offsetSeconds();
      return Math.abs(offset) > ttlSeconds / 2
        ? `the clocks of this instance and of the database differ by ${offset.toFixed(1)} s`
        : undefined;
    });
  }

  /** Returns seconds since the epoch, with fractions; by the instance's own clock until the database has answered. */
  nowSeconds(): number {
    const { aheadMs } = this;
    return (aheadMs === undefined ? this.clock.now().getTime() : this.clock.monotonicMs() + aheadMs) / 1_000;
  }

  /** The lead of the instance's clock over the database's, in seconds; negative when it is behind. */
  offsetSeconds(): number {
    return this.clock.now().getTime() / 1_000 - this.nowSeconds();
  }

  /**
   * Takes what the database's clock showed between a question and its answer. The first estimate is the middle; a later
   * one moves only as far as the answer proves, so that a slow answer does not spoil what a fast one has told.
   *
   * @param databaseMs since the epoch
   * @param askedAtMs on the monotonic clock, as is `answeredAtMs`
   */
  learn(databaseMs: number, askedAtMs: number, answeredAtMs: number): void {
    const [least, most] = [databaseMs - answeredAtMs, databaseMs - askedAtMs];
    this.aheadMs = Math.min(Math.max(this.aheadMs ?? (least + most) / 2, least), most);
    this.warn(this.offsetSeconds());
  }

  private warn(offset: number): void {
    const isOff = Math.abs(offset) > (this.isWarned ? ALL_CLEAR_SECONDS : WARNING_SECONDS);
    if (isOff === this.isWarned) {
      return;
    }
    this.isWarned = isOff;
    const seconds = Number(offset.toFixed(1));
    if (isOff) {
      this.logger.warn({
        event: 'clock_offset',
        msg: 'the clocks of this instance and of the database differ; access tokens are judged by the database',
        seconds,
      });
    } else {
      this.logger.log({
        event: 'clock_restored',
        msg: 'the clocks of this instance and of the database agree',
        seconds,
      });
    }
  }
}
