import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { addSeconds } from '../platform/common/clock.js';
import type { Config } from '../platform/config/config.js';
import type { DatabaseClock } from '../platform/database/database-clock.js';
import type { KeyLifeCycleService } from './key-life-cycle.service.js';
import type { KeysRepository } from './keys.repository.js';
import { KeysService } from './keys.service.js';
import type { StoredKey, StoredKeys } from './keys.types.js';
import { generateSigningKey, type GeneratedKey } from './signing-key.generator.js';
import type { SigningKeyVault } from './signing-key.vault.js';

const DAY_SECONDS = 86_400;
const START = new Date('2026-06-01T00:00:00Z');

/** How long after the settlement the switch comes. */
const SWITCH_SECONDS = 20;

let old: GeneratedKey;
let young: GeneratedKey;
/** Seconds after `START` by the clock of the database. */
let seconds: number;
let rows: readonly StoredKey[];

beforeAll(async () => {
  [old, young] = await Promise.all([generateSigningKey('ES256'), generateSigningKey('ES256')]);
});

beforeEach(() => {
  vi.useFakeTimers();
  seconds = 0;
  rows = [row(old, 'active')];
});

afterEach(() => {
  vi.useRealTimers();
});

function row({ kid, publicJwk }: GeneratedKey, status: StoredKey['status'], more: Partial<StoredKey> = {}): StoredKey {
  const encrypted = { privateKeyEncrypted: Buffer.alloc(0), encryptionKeyId: 1 };
  const times = { createdAt: START, activatedAt: status === 'next' ? null : START, retiringAt: null };
  return { kid, algorithm: 'ES256', publicJwk, status, ...encrypted, ...times, ...more };
}

/** @param skewSeconds by how much its idea of the database's time is ahead of it */
async function instance(skewSeconds = 0): Promise<KeysService> {
  const repository: Partial<KeysRepository> = {
    readKeys: () => Promise.resolve<StoredKeys>({ keys: rows, readAt: addSeconds(START, seconds) }),
  };
  const vault: Partial<SigningKeyVault> = { open: ({ kid }) => (kid === old.kid ? old : young).privateKey };
  const clock: Partial<DatabaseClock> = { nowSeconds: () => START.getTime() / 1_000 + seconds + skewSeconds };
  const config = {
    accessTokens: { algorithm: 'ES256' },
    signingKeys: { rotationDays: 90, publicationSeconds: DAY_SECONDS },
  };
  const keys = new KeysService(
    repository as KeysRepository,
    {} as KeyLifeCycleService,
    vault as SigningKeyVault,
    clock as DatabaseClock,
    config as Config,
  );
  await keys.reload();
  return keys;
}

/** As `keys replace` does in its one transaction. */
function settle({ replaces }: { readonly replaces: boolean }): void {
  const at = addSeconds(START, seconds + SWITCH_SECONDS);
  rows = [row(old, 'active', replaces ? { retiringAt: at } : {}), row(young, 'next', { activatedAt: at })];
}

function publishedKids(keys: KeysService): string[] {
  return (JSON.parse(keys.publishedKeys().body.toString()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

/** @returns the key that an access token would be signed with now; undefined when that would wait */
async function signerOf(keys: KeysService): Promise<string | undefined> {
  let signer: string | undefined;
  void keys.whenSettled().then(() => {
    signer = keys.signingKey().kid;
  });
  await Promise.resolve();
  await Promise.resolve();
  return signer;
}

describe('the switch to another signing key', () => {
  it('drops a stolen key on all instances before the new one signs, and after the stolen one has signed last', async () => {
    const skew = fc.integer({ min: -240, max: 240 }).map((ms) => ms / 1_000);
    const ofEach = { minLength: 3, maxLength: 3 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(skew, ofEach),
        fc.array(fc.integer({ min: 0, max: 9 }), ofEach),
        fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
        async (skews, phases, completedAfter) => {
          seconds = 0;
          rows = [row(old, 'active')];
          const instances = await Promise.all(skews.map(instance));
          settle({ replaces: true });
          let isGone = false;
          let hasYoungSigned = false;
          for (let tick = 0; tick <= 600; tick += 1) {
            seconds = tick / 20;
            if (completedAfter !== undefined && seconds >= SWITCH_SECONDS + 0.5 + completedAfter) {
              rows = [row(young, 'active', { activatedAt: addSeconds(START, SWITCH_SECONDS) })];
            }
            for (const [index, keys] of instances.entries()) {
              if (Number.isInteger(seconds) && seconds % 10 === phases[index]) {
                await keys.reload();
              }
              // Far from the switch nothing changes between two reloads.
              if (!Number.isInteger(seconds) && Math.abs(seconds - SWITCH_SECONDS) > 2) {
                continue;
              }
              const published = publishedKids(keys);
              const signer = await signerOf(keys);
              expect(published).toContain(signer ?? young.kid);
              expect(hasYoungSigned && published.includes(old.kid)).toBe(false);
              expect(isGone && signer === old.kid).toBe(false);
              isGone ||= !published.includes(old.kid);
              hasYoungSigned ||= signer === young.kid;
            }
          }
          expect(hasYoungSigned).toBe(true);
          expect(instances.map((keys) => keys.verificationKey(old.kid))).toEqual([undefined, undefined, undefined]);
        },
      ),
      { numRuns: 8 },
    );
  });

  it('needs no query at its instant, so an instance that has lost the database follows it', async () => {
    const keys = await instance();
    settle({ replaces: true });
    await keys.reload();
    seconds = SWITCH_SECONDS + 0.5;
    expect([publishedKids(keys), await signerOf(keys)]).toEqual([[young.kid], young.kid]);
  });

  it('lets a token wait for half a second around it instead of refusing a sign-in', async () => {
    const keys = await instance();
    settle({ replaces: true });
    await keys.reload();
    seconds = SWITCH_SECONDS - 0.4;
    expect(await signerOf(keys)).toBeUndefined();
    expect(publishedKids(keys)).toEqual([old.kid, young.kid]);
    const signed = keys.whenSettled().then(() => keys.signingKey().kid);
    seconds = SWITCH_SECONDS + 0.5;
    await vi.advanceTimersByTimeAsync(900);
    expect(await signed).toBe(young.kid);
  });

  it('is found by an instance that starts after it and before the database says that it is complete', async () => {
    settle({ replaces: true });
    seconds = SWITCH_SECONDS + 30;
    const keys = await instance();
    expect([publishedKids(keys), await signerOf(keys)]).toEqual([[young.kid], young.kid]);
  });

  it('keeps the old key to verify and makes no token wait when none was stolen', async () => {
    const keys = await instance();
    settle({ replaces: false });
    await keys.reload();
    seconds = SWITCH_SECONDS - 0.1;
    expect(await signerOf(keys)).toBe(old.kid);
    seconds = SWITCH_SECONDS;
    expect(await signerOf(keys)).toBe(young.kid);
    expect(publishedKids(keys)).toEqual([old.kid, young.kid]);
  });
});
