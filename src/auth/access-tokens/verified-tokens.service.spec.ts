import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import { KeysService } from '../../keys/keys.service.js';
import type { VerificationKey } from '../../keys/keys.types.js';
import type { Identity } from '../auth.types.js';
import { MOST_REMEMBERED_TOKENS, VerifiedTokensService } from './verified-tokens.service.js';

const EXPIRES_AT_SECONDS = 1_000;

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function keyNamed(kid: string): VerificationKey {
  return { kid, algorithm: 'ES256', publicJwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, publicKey };
}

function tokenOf(payload: object, { kid = 'kid', signature = 'c2lnbmF0dXJl' } = {}): string {
  const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${segment({ alg: 'ES256', typ: 'at+jwt', kid })}.${segment(payload)}.${signature}`;
}

function identityOf(userId: string): Identity {
  const [sessionId, tokenId] = [randomUUID(), randomUUID()];
  const session = { userId, sessionId, tokenId, roles: ['reader'] };
  return { ...session, expiresAtSeconds: EXPIRES_AT_SECONDS, acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: 1 };
}

let nowMs: number;
let keys: Map<string, VerificationKey>;
let tokens: VerifiedTokensService;

beforeEach(async () => {
  nowMs = (EXPIRES_AT_SECONDS - 300) * 1000;
  keys = new Map([['kid', keyNamed('kid')]]);
  const module = await Test.createTestingModule({
    providers: [
      VerifiedTokensService,
      { provide: DatabaseClock, useValue: { nowSeconds: () => nowMs / 1000 } },
      { provide: KeysService, useValue: { verificationKey: (kid: string) => keys.get(kid) } },
    ],
  }).compile();
  tokens = module.get(VerifiedTokensService);
});

describe('VerifiedTokensService', () => {
  it('knows a token that was verified, and its identity', () => {
    const [ada, bob] = [identityOf('ada'), identityOf('bob')];
    tokens.remember(tokenOf({ sub: 'ada' }), ada);
    tokens.remember(tokenOf({ sub: 'bob' }), bob);
    expect(tokens.find(tokenOf({ sub: 'ada' }))).toEqual(ada);
    expect(tokens.find(tokenOf({ sub: 'bob' }))).toEqual(bob);
  });

  it.each([
    ['another payload', tokenOf({ sub: 'eve' })],
    ['another signature', tokenOf({ sub: 'ada' }, { signature: 'c2lnbmF0dXJm' })],
    ['another key', tokenOf({ sub: 'ada' }, { kid: 'other' })],
    ['a character more', `${tokenOf({ sub: 'ada' })}A`],
    ['a character less', tokenOf({ sub: 'ada' }).slice(0, -1)],
    ['nothing', ''],
  ])('does not know one with %s', (_what, token) => {
    keys.set('other', keyNamed('other'));
    tokens.remember(tokenOf({ sub: 'ada' }), identityOf('ada'));
    expect(tokens.find(token)).toBeUndefined();
  });

  it('forgets a token in the second in which it expires', () => {
    const token = tokenOf({ sub: 'ada' });
    tokens.remember(token, identityOf('ada'));
    nowMs = EXPIRES_AT_SECONDS * 1000 - 1;
    expect(tokens.find(token)).toBeDefined();
    nowMs = EXPIRES_AT_SECONDS * 1000;
    expect(tokens.find(token)).toBeUndefined();
    nowMs -= 10_000;
    expect(tokens.find(token)).toBeUndefined();
  });

  it('forgets a token when its key is gone, or another key has its id', () => {
    const token = tokenOf({ sub: 'ada' });
    tokens.remember(token, identityOf('ada'));
    keys.set('kid', keyNamed('kid'));
    expect(tokens.find(token)).toBeUndefined();
    tokens.remember(token, identityOf('ada'));
    keys.delete('kid');
    expect(tokens.find(token)).toBeUndefined();
    tokens.remember(token, identityOf('ada'));
    expect(tokens.find(token)).toBeUndefined();
  });

  it('lets no reader of an identity change what the next is told', () => {
    const token = tokenOf({ sub: 'ada' });
    tokens.remember(token, identityOf('ada'));
    expect(Object.isFrozen(tokens.find(token))).toBe(true);
  });

  it('keeps a bounded number, the youngest', () => {
    for (let number = 0; number <= MOST_REMEMBERED_TOKENS; number += 1) {
      tokens.remember(tokenOf({ number }), identityOf('ada'));
    }
    expect(tokens.find(tokenOf({ number: 0 }))).toBeUndefined();
    expect(tokens.find(tokenOf({ number: 1 }))).toBeDefined();
    expect(tokens.find(tokenOf({ number: MOST_REMEMBERED_TOKENS }))).toBeDefined();
  });
});
