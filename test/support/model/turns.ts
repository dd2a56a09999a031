import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  type Action,
  type Answer,
  type Family,
  familyOf,
  isLive,
  RETRY_KEYS,
  type RetryKey,
  SCOPES,
  type Scope,
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
const CLOCK_MOVES_SECONDS = [40, 40, 40, 40, 440, 440, 1_000, 2_000, 4_000] as const;

const MAX_USERS = 3;
const MAX_TURNS = 40;

const instances = fc.constantFrom<Instance>(0, 1);
/** Picks mostly one user, so that its sessions come up against their limit. */
const users = fc.constantFrom(0, 0, 0, ...Array.from({ length: MAX_USERS }, (_, index) => index));

/**
 * A family among those that live, mostly; most would be dead before long, and there is more to learn from the others.
 */
const families = fc
  .record({ index: fc.nat({ max: 7 }), group: fc.constantFrom('live', 'live', 'live', 'live', 'all') })
  .map(({ index, group }) => (world: World): number | undefined => {
    const all = world.families.map((_, at) => at);
    const live = all.filter((at) => isLive(world, familyOf(world, at)));
    const candidates = group === 'live' && live.length > 0 ? live : all;
    return candidates[index % candidates.length];
  });

/**
 * The family of an access token that may still be tried: the JWT's own time cannot be moved, so it ends with its
 * family's row.
 */
const holders = families.map((family) => (world: World): number | undefined => {
  const index = family(world);
  return index === undefined || familyOf(world, index).isCleanedUp ? undefined : index;
});

/** A token of a family, or the key that comes along with it. */
type Choice<T> = (family: Family) => T;

const anyGeneration: fc.Arbitrary<Choice<number>> = fc.nat({ max: 15 }).map(
  (number) =>
    ({ newestGeneration }) =>
      1 + (number % newestGeneration),
);

/** The newest is the current one, unless a backup has been restored. */
const goodGeneration = fc.constantFrom<Choice<number>[]>(
  ({ rotation }) => rotation.generation,
  ({ newestGeneration }) => newestGeneration,
);

const previousGeneration = fc.constant<Choice<number>>(({ rotation }) => Math.max(1, rotation.generation - 1));

/** Few, so that one turns up again where it must mean nothing, or where it must be refused. */
const keys = fc.constantFrom<(RetryKey | undefined)[]>(undefined, undefined, 'A', 'B', 'C');

const anyKey = keys.map(
  (key): Choice<RetryKey | undefined> =>
    () =>
      key,
);

const unusedKey = fc.constant<Choice<RetryKey | undefined>>(({ rotation }) =>
  RETRY_KEYS.find((key) => rotation.history.every((used) => used.key !== key)),
);

const freeKeys = fc.oneof({ arbitrary: anyKey, weight: 3 }, { arbitrary: unusedKey, weight: 2 });

/** The one that makes the refresh a retry of the last one. */
const lastKey = fc.constant<Choice<RetryKey | undefined>>(({ rotation }) => rotation.key);

/** A late attempt: the token that one of the last rotations consumed, and the key of that rotation. */
const lateAttempt: fc.Arbitrary<[Choice<number>, Choice<RetryKey | undefined>]> = fc
  .nat({ max: 7 })
  .map((number) => [
    ({ rotation: { history } }) => history[number % history.length]?.generation ?? 1,
    ({ rotation: { history } }) => history[number % history.length]?.key,
  ]);

const generations = fc.oneof(
  { arbitrary: goodGeneration, weight: 3 },
  { arbitrary: previousGeneration, weight: 2 },
  { arbitrary: anyGeneration, weight: 1 },
);

type ActionOnFamily = (world: World, family: number) => Action;

const scopes = fc.constantFrom<(Scope | undefined)[]>(undefined, undefined, undefined, ...SCOPES);

const presentations: fc.Arbitrary<ActionOnFamily> = fc
  .oneof(
    { arbitrary: fc.tuple(goodGeneration, freeKeys), weight: 20 },
    { arbitrary: fc.tuple(goodGeneration, lastKey), weight: 2 },
    { arbitrary: fc.tuple(previousGeneration, lastKey), weight: 8 },
    { arbitrary: fc.tuple(previousGeneration, freeKeys), weight: 2 },
    { arbitrary: lateAttempt, weight: 4 },
    { arbitrary: fc.tuple(anyGeneration, freeKeys), weight: 1 },
  )
  .chain(([generation, key]) =>
    scopes.map((scope) => (world, index) => {
      const family = familyOf(world, index);
      return {
        kind: 'refresh',
        token: { family: index, generation: generation(family) },
        key: key(family),
        ...(scope !== undefined && { scope }),
      };
    }),
  );

const logouts: fc.Arbitrary<ActionOnFamily> = fc
  .record({ generation: generations, by: fc.constantFrom('refresh token', 'access token', 'both') })
  .map(({ generation, by }) => (world, family) => ({
    kind: 'log out',
    refreshToken: by === 'access token' ? undefined : { family, generation: generation(familyOf(world, family)) },
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
    token: { family, generation: generation(familyOf(world, family)) },
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
          refreshToken: { family, generation: generation(familyOf(world, family)) },
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

const authentications: fc.Arbitrary<Actor> = onFamily(
  fc.constant((_, family) => ({ kind: 'authenticate in the row', family })),
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

/** A client that has its answer, or has lost it, and asks again as time goes by. */
const retriesOverTime: fc.Arbitrary<readonly Draft[]> = fc
  .record({
    family: families,
    key: keys,
    pausesSeconds: fc.array(fc.constantFrom(...CLOCK_MOVES_SECONDS), { minLength: 1, maxLength: 3 }),
    instance: instances,
  })
  .map(({ family, key, pausesSeconds, instance }) => {
    const ask = (generationsBack: number): Draft =>
      onSameFamily(family, instance, (world, index) => {
        const generation = Math.max(1, familyOf(world, index).rotation.generation - generationsBack);
        return { kind: 'refresh', token: { family: index, generation }, key };
      });
    const wait = (seconds: number): Draft => onSameFamily(family, instance, () => ({ kind: 'move clock', seconds }));
    return [ask(0), ...pausesSeconds.flatMap((seconds) => [wait(seconds), ask(1)])];
  });

/** Rotations that a restored backup knows nothing of, and the client that holds their last token. */
const lostCommits: fc.Arbitrary<readonly Draft[]> = fc
  .record({ family: families, count: fc.integer({ min: 1, max: 3 }), key: keys, instance: instances })
  .map(({ family, count, key, instance }) => {
    const rotate = onSameFamily(family, instance, (world, index) => {
      const { generation } = familyOf(world, index).rotation;
      return { kind: 'refresh', token: { family: index, generation }, key: undefined };
    });
    return [
      onSameFamily(family, instance, (_, index) => ({ kind: 'back up', family: index })),
      ...Array.from({ length: count }, () => rotate),
      onSameFamily(family, instance, (_, index) => ({ kind: 'restore', family: index })),
      onSameFamily(family, instance, (world, index) => {
        const { newestGeneration } = familyOf(world, index);
        return { kind: 'refresh', token: { family: index, generation: newestGeneration }, key };
      }),
    ];
  });

/** A user who may sign in mostly does, because dead sessions teach little. */
const revivals = fc.constantFrom(true, true, false).map((isWanted) => (draft: Draft): Draft => {
  return (world) => {
    if (!isWanted || world.families.some((family) => isLive(world, family))) {
      return draft(world);
    }
    const user = world.users.findIndex(({ isDisabled }) => !isDisabled);
    const action: Action = user < 0 ? { kind: 'enable', user: 0 } : { kind: 'log in', user, isPasswordRight: true };
    return { kind: 'alone', action, instance: 0 };
  };
});

/** Any sequence of turns, under either of the settings at first. */
export function drafts(settings: readonly Settings[]): fc.Arbitrary<readonly Draft[]> {
  const changes: fc.Arbitrary<Actor> = fc
    .constantFrom(...settings)
    .map((to) => () => ({ kind: 'change settings', to }));
  const any = fc.oneof(
    { arbitrary: alone(onFamily(presentations)), weight: 40 },
    { arbitrary: retriesOverTime, weight: 3 },
    { arbitrary: lostCommits, weight: 3 },
    { arbitrary: races.map((race) => [race]), weight: 10 },
    { arbitrary: alone(logins), weight: 10 },
    { arbitrary: alone(clockMoves), weight: 10 },
    { arbitrary: alone(looks), weight: 8 },
    { arbitrary: alone(backups), weight: 3 },
    { arbitrary: alone(authentications), weight: 3 },
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
    .tuple(alone(changes), fc.array(fc.tuple(any, revivals), { maxLength: MAX_TURNS, size: 'max' }))
    .map(([first, rest]) => [...first, ...rest.flatMap(([turns, revive]) => turns.map(revive))]);
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
  return fc.record({ family: families, act: actions }).map(({ family, act }) => (world) => {
    const index = family(world);
    return index === undefined ? undefined : act(world, index);
  });
}

/** Drafts one of several turns on one family: they leave it alive, or there is nothing more to try on it. */
function onSameFamily(family: (world: World) => number | undefined, instance: Instance, act: ActionOnFamily): Draft {
  return (world) => {
    const index = family(world);
    return index === undefined ? undefined : { kind: 'alone', action: act(world, index), instance };
  };
}
