import { beforeAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { Response } from 'supertest';
import type { ErrorCode, ProblemCode } from '../src/platform/common/domain.errors.js';
import type { RevokeReason } from '../src/tokens/tokens.types.js';
import { type OpenSession, openSessions } from './support/open-sessions.js';
import { expectProblem, oauthCodeOf } from './support/problem.js';
import { type Account, claimsOf, newIdempotencyKey, pairOf } from './support/test-client.js';
import type { TestFamily } from './support/test-family.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

const CURRENT_GENERATION = 10;
const GRACE_SECONDS = 20;
const SITUATIONS = 250;

interface Situation {
  readonly isSecretRight: boolean;
  readonly ended: RevokeReason | undefined;
  readonly age: 'fresh' | 'past the grace window' | 'idle too long' | 'past the end';
  readonly isUserActive: boolean;
  /** Presented generation − current generation. */
  readonly ahead: number;
  /** Whether the rotation that made the current generation had a key. */
  readonly rotationHadKey: boolean;
  readonly key: 'none' | 'of that rotation' | 'of the rotation before it' | 'another';
  readonly hasGraceWindow: boolean;
  readonly rollsForward: boolean;
  /** What the `scope` asks for; without one, the refresh goes by the JSON route. */
  readonly scope: 'none' | 'some' | 'too much';
}

const ROLES = ['reader', 'writer'];
const SCOPES = { some: 'reader', 'too much': 'reader owner' };

type Outcome =
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  | { readonly kind: 'ended'; readonly code: ProblemCode; readonly reason: RevokeReason }
  | { readonly kind: 'moved' }
  | { readonly kind: 'replayed' };

const refused = (code: ErrorCode): Outcome => ({ kind: 'refused', code });

const hasItsKey = (situation: Situation): boolean => situation.rotationHadKey && situation.key === 'of that rotation';
const hasUsedKey = (situation: Situation): boolean =>
  hasItsKey(situation) || situation.key === 'of the rotation before it';

/** The table of docs/rotation.md once more, in its order; its first two rows never reach a row of the database. */
const TABLE: readonly (readonly [when: (situation: Situation) => boolean, outcome: Outcome])[] = [
  [({ isSecretRight, ahead }) => !isSecretRight || ahead > 1_000, refused('refresh_token_invalid')],
  [({ ended }) => ended === 'reuse', refused('refresh_token_reused')],
  [({ ended }) => ended === 'user_disabled', refused('account_disabled')],
  [({ ended }) => ended !== undefined, refused('session_revoked')],
  [({ age }) => age === 'idle too long' || age === 'past the end', refused('session_expired')],
  [({ isUserActive }) => !isUserActive, refused('account_disabled')],
  [(situation) => situation.ahead === 0 && hasUsedKey(situation), refused('idempotency_key_reused')],
  [({ ahead, scope }) => ahead === 0 && scope === 'too much', refused('roles_not_granted')],
  [({ ahead }) => ahead === 0, { kind: 'moved' }],
  [(situation) => situation.ahead === -1 && hasItsKey(situation), { kind: 'replayed' }],
  [
    ({ ahead, rotationHadKey, hasGraceWindow, age }) =>
      ahead === -1 && !rotationHadKey && hasGraceWindow && age === 'fresh',
    { kind: 'replayed' },
  ],
  [({ ahead, key }) => ahead === -2 && key === 'of the rotation before it', refused('idempotency_key_reused')],
  [({ ahead }) => ahead < 0, { kind: 'ended', code: 'refresh_token_reused', reason: 'reuse' }],
  [({ rollsForward }) => !rollsForward, { kind: 'ended', code: 'session_revoked', reason: 'rolled_back' }],
  [({ scope }) => scope === 'too much', refused('roles_not_granted')],
  [() => true, { kind: 'moved' }],
];

/** The usual three times of four, or the last rows would hardly ever be reached. */
function mostly<T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
}

const anySituation: fc.Arbitrary<Situation> = fc.record({
  isSecretRight: mostly(true, false),
  ended: mostly<RevokeReason | undefined>(undefined, 'reuse', 'user_disabled', 'logout', 'rolled_back'),
  age: mostly<Situation['age']>(
    'fresh',
    'past the grace window',
    'past the grace window',
    'idle too long',
    'past the end',
  ),
  isUserActive: mostly(true, false),
  ahead: fc.constantFrom(-9, -2, -2, -1, -1, 0, 0, 1, 1_000, 1_001),
  rotationHadKey: fc.boolean(),
  key: fc.constantFrom('none', 'of that rotation', 'of that rotation', 'of the rotation before it', 'another'),
  hasGraceWindow: fc.boolean(),
  rollsForward: fc.boolean(),
  scope: mostly<Situation['scope']>('none', 'some', 'too much', 'too much'),
});

function expectRefusal(response: Response, code: ErrorCode, scope: Situation['scope']): void {
  if (scope === 'none') {
    expectProblem(response, code as ProblemCode);
  } else {
    expect(oauthCodeOf(response)).toBe(code);
  }
}

function expectRoles(response: Response, scope: Situation['scope']): void {
  expect(claimsOf(pairOf(response).access_token)['roles']).toEqual(scope === 'none' ? ROLES : ['reader']);
}

describe('the precedence of the rows of the rotation table', () => {
  const database = useDatabase();
  const instances = new Map<string, TestService>();
  for (const hasGraceWindow of [false, true]) {
    for (const rollsForward of [false, true]) {
      const instance = useInstance(database, {
        REFRESH_GRACE_SECONDS: hasGraceWindow ? String(GRACE_SECONDS) : '0',
        REFRESH_ROLL_FORWARD: rollsForward ? 'on' : 'off',
        MAX_SESSIONS_PER_USER: '1000',
      });
      instances.set(`${hasGraceWindow} ${rollsForward}`, instance);
    }
  }
  let account: Account;
  /** One for each situation, and some for shrinking one that fails. */
  let unused: Iterator<OpenSession>;

  const instanceFor = ({ hasGraceWindow, rollsForward }: Situation): TestService =>
    instances.get(`${hasGraceWindow} ${rollsForward}`)!;

  beforeAll(async () => {
    const someInstance = instances.get('false true')!;
    account = await someInstance.client.signUp();
    await database.sql('update users set roles = $2 where id = $1', [account.id, ROLES]);
    unused = (await openSessions(someInstance, database, account.id, 2 * SITUATIONS)).values();
  });

  async function setUserActive(isActive: boolean): Promise<void> {
    await database.sql('update users set status = $2 where id = $1', [account.id, isActive ? 'active' : 'disabled']);
  }

  /** A family at the current generation, with what has happened to it since. */
  async function arrange(situation: Situation, rotationKey: string, earlierKey: string): Promise<TestFamily> {
    const instance = instanceFor(situation);
    const { family } = (unused.next() as IteratorYieldResult<OpenSession>).value;
    await family.setGeneration(CURRENT_GENERATION - 2);
    await instance.client.rotate(family.token(CURRENT_GENERATION - 2), earlierKey);
    await instance.client.rotate(
      family.token(CURRENT_GENERATION - 1),
      situation.rotationHadKey ? rotationKey : undefined,
    );
    const ages = { fresh: 0, 'past the grace window': GRACE_SECONDS, 'idle too long': 15 * 86_400, 'past the end': 0 };
    if (ages[situation.age] > 0) {
      await family.age(ages[situation.age]);
    }
    if (situation.age === 'past the end') {
      await database.sql('update refresh_token_families set expires_at = clock_timestamp() where id = $1', [family.id]);
    }
    if (situation.ended !== undefined) {
      await family.end(situation.ended);
    }
    return family;
  }

  it('is that of the table: in any combination of situations the first match decides, and does only what it says', async () => {
    await fc.assert(
      fc.asyncProperty(anySituation, async (situation) => {
        const [, outcome] = TABLE.find(([when]) => when(situation))!;
        const rotationKey = newIdempotencyKey();
        const earlierKey = newIdempotencyKey();
        const keys = {
          none: undefined,
          'of that rotation': rotationKey,
          'of the rotation before it': earlierKey,
          another: newIdempotencyKey(),
        };
        const family = await arrange(situation, rotationKey, earlierKey);
        if (!situation.isUserActive) {
          await setUserActive(false);
        }
        const generation = CURRENT_GENERATION + situation.ahead;
        const token = situation.isSecretRight ? family.token(generation) : family.forgedToken(generation);
        const untouched = await family.row();

        const { client } = instanceFor(situation);
        const idempotencyKey = keys[situation.key];
        const { scope } = situation;
        const response =
          scope === 'none'
            ? await client.refresh(token, idempotencyKey)
            : await client.exchange(token, { idempotencyKey, scope: SCOPES[scope] });
        if (!situation.isUserActive) {
          await setUserActive(true);
        }
        const row = await family.row();
        switch (outcome.kind) {
          case 'refused':
            expectRefusal(response, outcome.code, scope);
            expect(row).toEqual(untouched);
            break;
          case 'ended':
            expectRefusal(response, outcome.code, scope);
            expect(row).toMatchObject({ generation: CURRENT_GENERATION, revoke_reason: outcome.reason });
            break;
          case 'moved':
            expect(pairOf(response).refresh_token).toBe(family.token(generation + 1));
            expect(row).toMatchObject({ generation: generation + 1, revoked_at: null });
            expectRoles(response, scope);
            break;
          case 'replayed':
            expect(pairOf(response).refresh_token).toBe(family.token(CURRENT_GENERATION));
            expect(row).toEqual(untouched);
            expectRoles(response, scope);
        }
      }),
      { numRuns: SITUATIONS },
    );
  });
});
