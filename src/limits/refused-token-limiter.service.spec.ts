import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Test } from '@nestjs/testing';
import { AccountDisabledError } from '../platform/common/domain.errors.js';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';
import { RefusedTokenLimiterService } from './refused-token-limiter.service.js';

const NETWORK = '203.0.113.7';

const refuse = (): never => {
  throw new AccountDisabledError();
};
const succeed = (): string => 'a token';

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

function refusal(network = NETWORK): Promise<unknown> {
  return tokens.limitRefusals(network, refuse).catch((error: unknown) => error);
}

async function refuseTimes(times: number): Promise<void> {
  for (let time = 1; time <= times; time += 1) {
    expect(await refusal()).toBeInstanceOf(AccountDisabledError);
  }
}

describe('RefusedTokenLimiterService', () => {
  it('turns the refused tokens of a network away after 300, tells for how long, and reads them after a minute', async () => {
    await refuseTimes(299);
    vi.advanceTimersByTime(20_000);
    await refuseTimes(1);
    const tooMany = await refusal();
    expect(tooMany).toBeInstanceOf(TooManyAttemptsError);
    expect(tooMany).toHaveProperty('retryAfterSeconds', 40);
    vi.advanceTimersByTime(40_001);
    await refuseTimes(1);
  });

  it('never turns away an authentic token, whatever its network has sent', async () => {
    await refuseTimes(300);
    expect(await refusal()).toBeInstanceOf(TooManyAttemptsError);
    expect(await tokens.limitRefusals(NETWORK, succeed)).toBe('a token');
  });

  it('counts each network by itself', async () => {
    await refuseTimes(300);
    expect(await refusal('198.51.100.1')).toBeInstanceOf(AccountDisabledError);
  });

  it('counts no authentic tokens', async () => {
    for (let time = 1; time <= 400; time += 1) {
      await tokens.limitRefusals(NETWORK, succeed);
    }
    expect(await refusal()).toBeInstanceOf(AccountDisabledError);
  });
});
