import { Injectable } from '@nestjs/common';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { DomainError, type ErrorCode } from '../platform/common/domain.errors.js';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';

/** A client that follows the algorithm of `docs/api.md` drops a token at its first refusal. */
const REFUSALS_PER_NETWORK = 300;
const WINDOW_SECONDS = 60;

/** Failures of the service or of the request's form, which say nothing about a token. */
const NOT_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'validation_failed',
  'roles_not_granted',
  'overloaded',
  'temporarily_unavailable',
  'outcome_unknown',
]);

/**
 * Turns a client network away for the rest of a minute in which it has sent too many refused tokens. Counts in this
 * process only, so that invalid tokens never cause a query.
 */
@Injectable()
export class RefusedTokenLimiterService {
  private readonly byNetwork = new RateLimiterMemory({ points: REFUSALS_PER_NETWORK, duration: WINDOW_SECONDS });

  constructor(private readonly config: Config) {}

  /**
   * Runs `work` unless the network has sent too many refused tokens, and counts a refusal.
   *
   * @param network see `networkOf`
   * @param work what is done with the token; its errors are counted and passed on
   * @throws TooManyAttemptsError before `work` has begun
   */
  async limitRefusals<T>(network: string, work: () => Promise<T>): Promise<T> {
    if (!this.config.limits.isOn) {
      return work();
    }
    const counted = await this.byNetwork.get(network);
    if (counted !== null && counted.consumedPoints >= REFUSALS_PER_NETWORK) {
      throw new TooManyAttemptsError('refused tokens from this network', counted.msBeforeNext / 1000);
    }
    try {
      return await work();
    } catch (error) {
      if (error instanceof DomainError && !NOT_REFUSALS.has(error.code)) {
        await this.byNetwork.penalty(network);
      }
      throw error;
    }
  }
}
