import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Test } from '@nestjs/testing';
import {
  AccountDisabledError,
  OverloadedError,
  TemporarilyUnavailableError,
} from '../platform/common/domain.errors.js';
import { RolesNotGrantedError } from '../tokens/tokens.errors.js';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';
import { RefusedTokenLimiterService } from './refused-token-limiter.service.js';

const NETWORK = '203.0.113.7';

const refuse = (): Promise<never> => Promise.reject(new AccountDisabledError());
const succeed = (): Promise<string> => Promise.resolve('a pair');

let tokens: RefusedTokenLimiterService;

beforeEach(async () => {
  vi.useFakeTimers();
  const module = await Test.createTestingModule({
    providers: [RefusedTokenLimiterService, { provide: Config, useValue: { limits: { isOn: true } } }],
  }).compile();
  tokens = module.get(RefusedTokenLimiterService);
});

afterEach(() => {
  vi.useRealTimers();
});

async function repeat(times: number, network: string, work: () => Promise<unknown>): Promise<void> {
  for (let time = 1; time <= times; time += 1) {
    await tokens.limitRefusals(network, work).catch(() => undefined);
  }
}

describe('RefusedTokenLimiterService', () => {
  it('turns a network away after 300 refusals, tells for how long, and admits it when the minute is over', async () => {
    await repeat(299, NETWORK, refuse);
    vi.advanceTimersByTime(20_000);
    expect(await tokens.limitRefusals(NETWORK, succeed)).toBe('a pair');
    await repeat(1, NETWORK, refuse);
    const refusal: unknown = await tokens.limitRefusals(NETWORK, succeed).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(TooManyAttemptsError);
    expect(refusal).toHaveProperty('retryAfterSeconds', 40);
    vi.advanceTimersByTime(40_001);
    expect(await tokens.limitRefusals(NETWORK, succeed)).toBe('a pair');
  });

  it('counts each network by itself', async () => {
    await repeat(300, NETWORK, refuse);
    expect(await tokens.limitRefusals('198.51.100.1', succeed)).toBe('a pair');
  });

  it('counts no successes and no failures of ours', async () => {
    await repeat(300, NETWORK, succeed);
    await repeat(300, NETWORK, () => Promise.reject(new TemporarilyUnavailableError()));
    await repeat(300, NETWORK, () => Promise.reject(new OverloadedError()));
    await repeat(300, NETWORK, () => Promise.reject(new RolesNotGrantedError()));
    await repeat(300, NETWORK, () => Promise.reject(new Error('a defect')));
    expect(await tokens.limitRefusals(NETWORK, succeed)).toBe('a pair');
  });

  it('passes on what the work fails with', async () => {
    await expect(tokens.limitRefusals(NETWORK, refuse)).rejects.toBeInstanceOf(AccountDisabledError);
  });
});
