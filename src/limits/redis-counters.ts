import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { createClient } from '@redis/client';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { messageOf } from '../platform/common/message-of.js';
import { Counter, Counters, type CounterSettings } from './counter.js';

const CONNECT_TIMEOUT_MS = 2_000;
const LONGEST_RECONNECT_PAUSE_MS = 1_000;

/** A connection without an answer for this long is closed, and the commands that wait on it fail. */
const SILENCE_TIMEOUT_MS = 3_000;
const PING_INTERVAL_MS = 1_000;

/**
 * Keeps counters in Redis. While it is unavailable, every `take` fails at once instead of waiting; the client
 * reconnects by itself.
 */
export class RedisCounters extends Counters implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(RedisCounters.name);
  private readonly client;
  private isAway = false;

  /** @param url of one server, `redis:` or `rediss:` */
  constructor(url: string) {
    super();
    this.client = createClient({
      url,
      disableOfflineQueue: true,
      pingInterval: PING_INTERVAL_MS,
      socket: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: SILENCE_TIMEOUT_MS,
        reconnectStrategy: (attempts: number) => Math.min(50 * 2 ** Math.min(attempts, 10), LONGEST_RECONNECT_PAUSE_MS),
      },
    });
    this.client.on('error', (error: unknown) => {
      if (!this.isAway) {
        this.isAway = true;
        this.logger.warn({
          event: 'redis_away',
          msg: 'Redis is unavailable; logins and registrations fail until it is back',
          reason: messageOf(error),
        });
      }
    });
    this.client.on('ready', () => {
      this.isAway = false;
      this.logger.log({ event: 'redis_connected', msg: 'attempts are counted in Redis' });
    });
  }

  /** Does not wait for the connection: everything except passwords and registration works without it. */
  onModuleInit(): void {
    this.client.connect().catch((error: unknown) => {
      this.logger.warn({ event: 'redis_given_up', msg: 'the connection was closed', reason: messageOf(error) });
    });
  }

  onApplicationShutdown(): void {
    this.client.destroy();
  }

  counter({ name, limit, windowSeconds }: CounterSettings): Counter {
    const limiter = new RateLimiterRedis({
      storeClient: this.client,
      useRedisPackage: true,
      rejectIfRedisNotReady: true,
      keyPrefix: `ratchet:${name}`,
      points: limit,
      duration: windowSeconds,
    });
    return new Counter(limiter, () => true);
  }
}
