import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  type Action,
  type Answer,
  familyOf,
  isLive,
  type RetryKey,
  type Settings,
  type World,
} from './family.model.js';

export type Instance = 0 | 1;

/** What happens next: one action by itself, or several at the same moment on both instances by turns. */
export type Turn =
  | { readonly kind: 'alone'; readonly action: Action; readonly instance: Instance }
  | {
      readonly kind: 'at once';
      readonly actions: readonly Action[];
      /** All arrive while the row of this family is locked, so that every one of them has begun before one decides. */
      readonly queuedAt: number | undefined;
    };

/** A turn in the making: which users, families and tokens there are, only the world in which it is taken knows. */
export type Draft = (world: World) => Turn | undefined;

type Actor = (world: World) => Action | undefined;

/**
 * The services' borders in time lie 20 s off every sum of these: neither the moment that a run takes nor a slow machine
 * can carry a session over one.
 */
const CLOCK_MOVES_SECONDS = [40, 40, 40, 440, 1_000, 2_000, 4_000] as const;

const MAX_USERS = 3;
const MAX_TURNS = 40;

const instances = fc.constantFrom<Instance>(0, 1);
const users = fc.nat({ max: MAX_USERS - 1 });

/** A family among those that live, mostly; most would be dead before long, and there is more to learn from the others. */
const families = fc
  .record({ index: fc.nat({ max: 7 }), group: fc.constantFrom('live', 'live', 'live', 'live', 'all') })
  .map(({ index, group }) => (world: World): number | undefined => {
    const all = world.families.map((_, at) => at);
    const live = all.filter((at) => isLive(world, familyOf(world, at)));
    const candidates = group === 'live' && live.length > 0 ? live : all;
    return candidates[index % candidates.length];
  });

/** Of an access token that may still be tried: the JWT's own time cannot be moved, so it ends with its family's row. */
const holders = families.map((family) => (world: World): number | undefined => {
  const index = family(world);
  return index === undefined || familyOf(world, index).isCleanedUp ? undefined : index;
});

const generations = fc
  .record({
    which: fc.oneof(
      { arbitrary: fc.constant('current'), weight: 10 },
      { arbitrary: fc.constant('previous'), weight: 7 },
      { arbitrary: fc.constantFrom('newest', 'any'), weight: 1 },
    ),
    any: fc.nat({ max: 15 }),
  })
  .map(({ which, any }) => (world: World, family: number): number => {
    const { rotation, newestGeneration } = familyOf(world, family);
    switch (which) {
      case 'current':
        return rotation.generation;
      case 'previous':
        return Math.max(1, rotation.generation - 1);
      case 'newest':
        return newestGeneration;
      case 'any':
        return 1 + (any % newestGeneration);
    }
  });

/** Few keys, so that one turns up again where it must mean nothing; or the one that makes the refresh a retry. */
const keys = fc
  .constantFrom<RetryKey | 'none' | 'last'>('none', 'A', 'B', 'C', 'last', 'last')
  .map((key) => (world: World, family: number): RetryKey | undefined => {
    if (key === 'last') {
      return familyOf(world, family).rotation.key;
    }
    return key === 'none' ? undefined : key;
  });

type ActionOnFamily = (world: World, family: number) => Action;

const presentations: fc.Arbitrary<ActionOnFamily> = fc
  .record({ generation: generations, key: keys })
  .map(({ generation, key }) => (world, family) => ({
    kind: 'refresh',
    token: { family, generation: generation(world, family) },
    key: key(world, family),
  }));

const logouts: fc.Arbitrary<ActionOnFamily> = fc
  .record({ generation: generations, by: fc.constantFrom('refresh token', 'access token', 'both') })
  .map(({ generation, by }) => (world, family) => ({
    kind: 'log out',
    refreshToken: by === 'access token' ? undefined : { family, generation: generation(world, family) },
    accessTokenOf: by === 'refresh token' ? undefined : family,
  }));

const logoutsEverywhere: fc.Arbitrary<ActionOnFamily> = fc.constant((_, family) => ({
  kind: 'log out everywhere',
  accessTokenOf: family,
}));

const registrations: fc.Arbitrary<Actor> = fc
  .boolean()
  .map(
    (isEmailTaken) => (world) =>
      isEmailTaken || world.users.length < MAX_USERS ? { kind: 'register', isEmailTaken } : undefined,
  );

const logins: fc.Arbitrary<Actor> = fc
  .record({ user: users, isPasswordRight: fc.constantFrom(true, true, true, false) })
  .map(({ user, isPasswordRight }) => (world) => ({
    kind: 'log in',
    user: user % world.users.length,
    isPasswordRight,
  }));

const damagedTokens: fc.Arbitrary<Actor> = onFamily(
  generations.map((generation) => (world, family) => ({
    kind: 'refresh with a damaged token',
    token: { family, generation: generation(world, family) },
  })),
);

const logoutsOfTwoSessions: fc.Arbitrary<Actor> = fc
  .record({ family: families, generation: generations, other: holders })
  .map(({ family: pick, generation, other }) => (world) => {
    const family = pick(world);
    return family === undefined
      ? undefined
      : {
          kind: 'log out',
          refreshToken: { family, generation: generation(world, family) },
          accessTokenOf: other(world),
        };
  });

const sessionEnds: fc.Arbitrary<Actor> = fc
  .record({ holder: holders, target: families })
  .map(({ holder, target: pick }) => (world) => {
    const [accessTokenOf, target] = [holder(world), pick(world)];
    return accessTokenOf === undefined || target === undefined
      ? undefined
      : { kind: 'end session', accessTokenOf, target };
  });

const passwordChanges: fc.Arbitrary<Actor> = fc
  .record({ holder: holders, isPasswordRight: fc.constantFrom(true, true, false) })
  .map(({ holder, isPasswordRight }) => (world) => {
    const accessTokenOf = holder(world);
    return accessTokenOf === undefined ? undefined : { kind: 'change password', accessTokenOf, isPasswordRight };
  });

const looks: fc.Arbitrary<Actor> = fc
  .record({ holder: holders, kind: fc.constantFrom('read user' as const, 'list sessions' as const) })
  .map(({ holder, kind }) => (world) => {
    const accessTokenOf = holder(world);
    return accessTokenOf === undefined ? undefined : { kind, accessTokenOf };
  });

const operations: fc.Arbitrary<Actor> = fc
  .record({
    user: users,
    kind: fc.constantFrom('enable' as const, 'enable' as const, 'disable' as const, 'disable the row' as const),
  })
  .map(({ user, kind }) => (world) => ({ kind, user: user % world.users.length }));

const clockMoves: fc.Arbitrary<Actor> = fc
  .constantFrom(...CLOCK_MOVES_SECONDS)
  .map((seconds) => () => ({ kind: 'move clock', seconds }));

const backups: fc.Arbitrary<Actor> = onFamily(
  fc.constantFrom('back up' as const, 'restore' as const).map((kind) => (_, family) => ({ kind, family })),
);

/** One token shown several times, or the whole muddle of what may be done with one session. */
const crowds: fc.Arbitrary<(world: World, family: number) => readonly Action[]> = fc.oneof(
  fc.record({ presentation: presentations, count: fc.integer({ min: 2, max: 5 }) }).map(
    ({ presentation, count }) =>
      (world: World, family: number) =>
        Array.from({ length: count }, () => presentation(world, family)),
  ),
  fc
    .array(
      fc.oneof(
        { arbitrary: presentations, weight: 6 },
        { arbitrary: logouts, weight: 1 },
        { arbitrary: logoutsEverywhere, weight: 1 },
      ),
      { minLength: 2, maxLength: 4 },
    )
    .map((members) => (world: World, family: number) => members.map((member) => member(world, family))),
);

const races: fc.Arbitrary<Draft> = fc
  .record({ family: families, crowd: crowds, isQueued: fc.constantFrom(true, false) })
  .map(({ family: pick, crowd, isQueued }) => (world) => {
    const family = pick(world);
    if (family === undefined) {
      return undefined;
    }
    const { end, isCleanedUp } = familyOf(world, family);
    return {
      kind: 'at once',
      actions: crowd(world, family),
      // Nothing waits for the row of a family that has ended: a logout has nothing to do there.
      queuedAt: isQueued && end === undefined && !isCleanedUp ? family : undefined,
    };
  });

/** Any sequence of turns, after a login: without one there is nothing to do. */
export function drafts(settings: readonly Settings[]): fc.Arbitrary<readonly Draft[]> {
  const changes: fc.Arbitrary<Actor> = fc
    .constantFrom(...settings)
    .map((to) => () => ({ kind: 'change settings', to }));
  const any = fc.oneof(
    { arbitrary: alone(onFamily(presentations)), weight: 40 },
    { arbitrary: races.map((race) => [race]), weight: 8 },
    { arbitrary: alone(logins), weight: 8 },
    { arbitrary: alone(clockMoves), weight: 10 },
    { arbitrary: alone(looks), weight: 8 },
    { arbitrary: alone(backups), weight: 6 },
    { arbitrary: alone(changes), weight: 5 },
    { arbitrary: alone(onFamily(logouts)), weight: 3 },
    { arbitrary: alone(logoutsOfTwoSessions), weight: 1 },
    { arbitrary: alone(onFamily(logoutsEverywhere)), weight: 1 },
    { arbitrary: alone(sessionEnds), weight: 3 },
    { arbitrary: alone(operations), weight: 4 },
    { arbitrary: alone(fc.constant(() => ({ kind: 'clean up' }))), weight: 3 },
    { arbitrary: alone(damagedTokens), weight: 1 },
    { arbitrary: alone(passwordChanges), weight: 2 },
    { arbitrary: alone(registrations), weight: 1 },
  );
  return fc
    .tuple(alone(changes), fc.array(any, { maxLength: MAX_TURNS, size: 'max' }))
    .map(([first, rest]) => [first, ...rest].flat());
}

export function describeAction({ kind, ...details }: Action): string {
  return `${kind} ${inspect(details, { breakLength: Infinity, depth: 4 })}`;
}

export function describeAnswer(answer: Answer): string {
  return inspect(answer, { breakLength: Infinity, depth: 4 });
}

function alone(actors: fc.Arbitrary<Actor>): fc.Arbitrary<readonly Draft[]> {
  return fc.record({ actor: actors, instance: instances }).map(({ actor, instance }) => [
    (world) => {
      const action = actor(world);
      return action === undefined ? undefined : { kind: 'alone', action, instance };
    },
  ]);
}

function onFamily(actions: fc.Arbitrary<ActionOnFamily>): fc.Arbitrary<Actor> {
  return fc.record({ family: families, action: actions }).map(({ family: pick, action }) => (world) => {
    const family = pick(world);
    return family === undefined ? undefined : action(world, family);
  });
}
