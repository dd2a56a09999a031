import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { createClient, ErrorReply } from '@redis/client';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import type { Readiness } from '../platform/common/readiness.js';
import { Counters, type StoredChanges, type StoredTake, type Taken } from './counter.js';

const CONNECT_TIMEOUT_MS = 2_000;
const LONGEST_RECONNECT_PAUSE_MS = 1_000;

/** A connection without an answer for this long is closed, and the commands that wait on it fail. */
const SILENCE_TIMEOUT_MS = 3_000;
const PROBE_INTERVAL_MS = 1_000;

/** It is written, because a replica, a full server and one that is loading answer a `PING`. */
const PROBE_KEY = 'ratchet:probe';
const PROBE_KEY_SECONDS = 60;

const KEY_PREFIX = 'ratchet:';

/** Three numbers for each key: points, limit, window in milliseconds. Redis runs a script as one command. */
const TAKE = `
  local answers = {}
  for i, key in ipairs(KEYS) do
    local points, limit, window = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local taken, remaining = tonumber(redis.call('get', key) or '0'), redis.call('pttl', key)
    if taken + points > limit and remaining > 0 then
      answers[i] = { 0, taken, remaining }
    else
      taken = redis.call('incrby', key, points)
      if remaining <= 0 then
        redis.call('pexpire', key, window)
        remaining = window
      end
      answers[i] = { 1, taken, remaining }
    end
  end
  return answers`;

/** Two numbers for each key: points and window in milliseconds; without a window, the points are given back. */
const CHANGE = `
  for i, key in ipairs(KEYS) do
    local points, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    if window > 0 then
      redis.call('set', key, points, 'px', window)
    elseif tonumber(redis.call('get', key) or '0') > points then
      redis.call('decrby', key, points)
    else
      redis.call('del', key)
    end
  end`;

/**
 * Keeps counters in Redis. While it is unavailable, every `take` fails at once instead of waiting. A connection whose
 * server no longer takes writes (`READONLY` after a failover, `LOADING`, `MASTERDOWN`, `NOAUTH` and so on) is renewed
 * once a second, because the address may lead to another server by now.
 */
export class RedisCounters extends Counters implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(RedisCounters.name);
  private readonly client;
  private readonly probing = new Periodic(PROBE_INTERVAL_MS, () => this.probe());
  /** undefined: it takes writes */
  private reason: string | undefined = 'not connected yet';
  private isTold = false;
  private isStopping = false;

  /** @param url of one server, `redis:` or `rediss:` */
  constructor(url: string, readiness: Readiness) {
    super();
    this.client = createClient({
      url,
      disableOfflineQueue: true,
      socket: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: SILENCE_TIMEOUT_MS,
        reconnectStrategy: (attempts: number) => Math.min(50 * 2 ** Math.min(attempts, 10), LONGEST_RECONNECT_PAUSE_MS),
      },
    });
    this.client.on('error', (error: unknown) => {
      this.setUnavailable(messageOf(error));
    });
    this.client.on('ready', () => void this.probe());
    readiness.addCheck(() => (this.reason === undefined ? undefined : `Redis takes no writes: ${this.reason}`));
  }

  /** Does not wait for the connection: everything except passwords and registration works without it. */
  onModuleInit(): void {
    void this.probe();
    this.probing.start();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.client.destroy();
    await this.probing.stop();
  }

  private async probe(): Promise<void> {
    try {
      if (!this.client.isOpen) {
        await this.client.connect();
      }
      if (this.client.isReady) {
        await this.client.set(PROBE_KEY, '1', { EX: PROBE_KEY_SECONDS });
        this.setAvailable();
      }
    } catch (error) {
      this.setUnavailable(messageOf(error));
      if (error instanceof ErrorReply && this.client.isOpen) {
        // The next probe connects again.
        this.client.destroy();
      }
    }
  }

  private setAvailable(): void {
    if (this.reason !== undefined) {
      this.reason = undefined;
      this.isTold = false;
      this.logger.log({ event: 'redis_connected', msg: 'attempts are counted in Redis' });
    }
  }

  private setUnavailable(reason: string): void {
    if (this.isStopping) {
      return;
    }
    if (!this.isTold) {
      this.isTold = true;
      this.logger.warn({
        event: 'redis_away',
        msg: 'Redis is unavailable; logins and registrations fail until it is back',
        reason,
      });
    }
    this.reason = reason;
  }

  protected async takeStored(takes: readonly StoredTake[]): Promise<readonly Taken[]> {
    const answers = (await this.run(
      TAKE,
      takes.map(({ key }) => key),
      takes.flatMap(({ points, limit, windowMs }) => [points, limit, windowMs]),
    )) as readonly [isTaken: number, points: number, remainingMs: number][];
    return answers.map(([isTaken, points, remainingMs]) => ({
      isTaken: isTaken === 1,
      points,
      remainingSeconds: remainingMs / 1_000,
    }));
  }

  protected async changeStored({ givenBack, set }: StoredChanges): Promise<void> {
    await this.run(
      CHANGE,
      [...givenBack, ...set].map(({ key }) => key),
      [...givenBack.flatMap(({ points }) => [points, 0]), ...set.flatMap(({ points, windowMs }) => [points, windowMs])],
    );
  }

  protected async hasStored(key: string): Promise<boolean> {
    return (await this.client.exists(KEY_PREFIX + key)) === 1;
  }

  /** Whatever fails, nothing can be counted. */
  protected isUnavailable(): boolean {
    return true;
  }

  private run(script: string, keys: readonly string[], numbers: readonly number[]): Promise<unknown> {
    return this.client.eval(script, {
      keys: keys.map((key) => KEY_PREFIX + key),
      arguments: numbers.map(String),
    });
  }
}
