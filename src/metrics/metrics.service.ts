import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { DatabaseClock } from '../platform/database/database-clock.js';
import { outcomeOf } from '../platform/http/problems/problem.js';
import { RevocationReaderService } from '../tokens/revocation-reader.service.js';
import { RevokedSessionsService } from '../tokens/revoked-sessions.service.js';
import { TokensService } from '../tokens/tokens.service.js';
import { PasswordHasherService } from '../users/password-hasher.service.js';

/** A request without a route may have any path and method, which would make any number of labels. */
const NO_ROUTE = { method: 'any', route: 'none' };

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

  private addGauge(name: string, help: string, read: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [this.registry],
      collect: () => {
        gauge.set(read());
      },
    });
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
