import { Injectable } from '@nestjs/common';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { DomainError, type ErrorCode } from '../platform/common/domain.errors.js';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';

/** A client that follows the algorithm in docs/api.md forgets a token at its first refusal. */
const REFUSALS_PER_NETWORK = 300;
const WINDOW_SECONDS = 60;

/** Failures that are ours, or of the request's form: none of them says anything about a token. */
const NOT_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'validation_failed',
  'roles_not_granted',
  'overloaded',
  'temporarily_unavailable',
  'outcome_unknown',
]);

/**
 * Turns a client network away for the rest of a minute in which it has shown too many refused tokens. Counted in this
 * process only, so that an invalid token never causes a query.
 */
@Injectable()
export class RefusedTokensService {
  private readonly byNetwork = new RateLimiterMemory({ points: REFUSALS_PER_NETWORK, duration: WINDOW_SECONDS });

  constructor(private readonly config: Config) {}

  /**
   * @param network see `networkOf`
   * @param work what is done with the token; its errors are counted and passed on
   * @throws TooManyAttemptsError before `work` has begun
   */
  async admit<T>(network: string, work: () => Promise<T>): Promise<T> {
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
