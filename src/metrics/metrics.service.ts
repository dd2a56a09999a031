import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { MailQueueService } from '../mail/mail-queue.service.js';
import type { MailQueueState } from '../mail/mail.types.js';
import { OutboxService } from '../mail/outbox.service.js';
import { DatabaseClock } from '../platform/database/database-clock.js';
import { outcomeOf } from '../platform/http/problems/problem.js';
import { RevocationReaderService } from '../tokens/revocation-reader.service.js';
import { RevokedSessionsService } from '../tokens/revoked-sessions.service.js';
import { TokensService } from '../tokens/tokens.service.js';
import { PasswordHasherService } from '../users/password-hasher.service.js';

/** A request without a route may have any path and method, which would make any number of labels. */
const NO_ROUTE = { method: 'any', route: 'none' };

const LONGEST_QUEUE_READ_MS = 1_000;
const UNKNOWN_QUEUE: MailQueueState = { length: Number.NaN, oldestAgeSeconds: Number.NaN };

/**
 * Counts and measures. Labels are routes as they are written in the code, documented codes and outcomes. Clients cannot
 * choose them, so their number is bounded, and they say nothing about a user.
 */
@Injectable()
export class MetricsService {
  private readonly registry = new Registry();
  private readonly requests = new Counter({
    name: 'ratchet_http_requests_total',
    help: 'Requests answered, by route and by the code of the problem, or ok.',
    labelNames: ['method', 'route', 'code'],
    registers: [this.registry],
  });

  constructor(
    private readonly databaseClock: DatabaseClock,
    private readonly revoked: RevokedSessionsService,
    private readonly reader: RevocationReaderService,
    private readonly tokens: TokensService,
    private readonly hasher: PasswordHasherService,
    private readonly outbox: OutboxService,
    private readonly mailQueue: MailQueueService,
  ) {}

  /** Begins to measure. Call it once, and only if the metrics are served. */
  start(): void {
    collectDefaultMetrics({ register: this.registry });
    this.addGauge(
      'ratchet_revocation_feed_age_seconds',
      'Seconds since the last completed poll for revocations began.',
      () => this.revoked.ageSeconds(),
    );
    this.addGauge(
      'ratchet_heartbeat_age_seconds',
      'Seconds since the last heartbeat that the database has committed was sent.',
      () => this.revoked.heartbeatAgeSeconds(),
    );
    this.addGauge(
      'ratchet_clock_offset_seconds',
      "Seconds by which the instance's clock is ahead of the database's.",
      () => this.databaseClock.offsetSeconds(),
    );
    this.addGauge(
      'ratchet_revoked_sessions',
      'Ended sessions whose access tokens are refused.',
      () => this.revoked.size,
    );
    this.addGauge(
      'ratchet_revocation_readers_waiting',
      'Verifiers that wait for news of revocations.',
      () => this.reader.waitingCount,
    );
    this.addGauge(
      'ratchet_password_hashes_waiting',
      'Password hashes that wait for others to be computed.',
      () => this.hasher.waitingCount,
    );
    this.countRefreshes();
    if (this.outbox.isOn) {
      this.measureMails();
    }
  }

  countRequest({ is404, routeOptions }: FastifyRequest, reply: FastifyReply): void {
    const { method, url } = routeOptions;
    const route = is404 || url === undefined || typeof method !== 'string' ? NO_ROUTE : { method, route: url };
    this.requests.inc({ ...route, code: outcomeOf(reply) });
  }

  /** @returns the text of Prometheus's exposition format, and its media type */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.registry.metrics(), contentType: this.registry.contentType };
  }

  private addGauge(name: string, help: string, read: () => number | Promise<number>): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [this.registry],
      collect: async () => {
        gauge.set(await read());
      },
    });
  }

  /** The queue is the database's: every instance shows the same, or no number while it cannot be asked. */
  private measureMails(): void {
    const counter = new Counter({
      name: 'ratchet_mails_total',
      help: 'Attempts of this instance to send a mail, by outcome.',
      labelNames: ['outcome'],
      registers: [this.registry],
    });
    this.outbox.observeOutcomes((outcome) => {
      counter.inc({ outcome });
    });
    let asked: Promise<MailQueueState> | undefined;
    const state = (): Promise<MailQueueState> => {
      // Both gauges of a scrape are collected at once.
      asked ??= this.readMailQueue().finally(() => {
        asked = undefined;
      });
      return asked;
    };
    this.addGauge('ratchet_mails_waiting', 'Mails that have been neither sent nor given up.', async () => {
      return (await state()).length;
    });
    this.addGauge('ratchet_oldest_mail_age_seconds', 'Age of the oldest mail that waits.', async () => {
      return (await state()).oldestAgeSeconds;
    });
  }

  /** A scrape waits for no database that does not answer. */
  private readMailQueue(): Promise<MailQueueState> {
    return Promise.race([
      this.mailQueue.state().catch(() => UNKNOWN_QUEUE),
      pause(LONGEST_QUEUE_READ_MS, UNKNOWN_QUEUE, { ref: false }),
    ]);
  }

  private countRefreshes(): void {
    const counter = new Counter({
      name: 'ratchet_refreshes_total',
      help: 'Authentic refresh tokens presented, by the outcome that the database decided.',
      labelNames: ['outcome'],
      registers: [this.registry],
    });
    this.tokens.observeRefreshes((outcome) => {
      counter.inc({ outcome });
    });
  }
}
