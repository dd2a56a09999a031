import type { ErrorCode, ProblemCode } from '../../../src/platform/common/domain.errors.js';

/**
 * What the service should do, written from docs/rotation.md and docs/api.md, not from the SQL: plain values,
 * one function, no clock and no database. Users and families are known by the order in which they came to be, retry
 * keys by a letter, a refresh token by its family and generation.
 */
export interface World {
  readonly nowMs: number;
  readonly settings: Settings;
  readonly users: readonly User[];
  readonly families: readonly Family[];
}

export interface Settings {
  readonly name: string;
  readonly graceSeconds: number;
  readonly idleSeconds: number;
  readonly lifetimeSeconds: number;
  readonly rollsForward: boolean;
  readonly maxSessions: number;
}

interface User {
  /** How often the password has been changed. */
  readonly password: number;
  readonly isDisabled: boolean;
}

export interface Family {
  readonly user: number;
  readonly createdAtMs: number;
  readonly endsAtMs: number;
  /** When its user last proved who they are, and how. */
  readonly authenticatedAtMs: number;
  readonly amr: readonly string[];
  readonly rotation: Rotation;
  /** What a restored backup would bring back. */
  readonly backup: Rotation | undefined;
  /** Somebody holds the tokens of every generation up to this one. */
  readonly newestGeneration: number;
  readonly end: End | undefined;
  readonly endedAtMs: number | undefined;
  readonly isCleanedUp: boolean;
}

/** The last rotation of a family, or the login that made it. */
interface Rotation {
  readonly generation: number;
  readonly atMs: number;
  /** The client's `Idempotency-Key`. */
  readonly key: RetryKey | undefined;
  /** This rotation and those before it, the newest first. */
  readonly history: readonly Consumption[];
}

/** A generation that a rotation consumed, and the client's key of that rotation. */
interface Consumption {
  readonly generation: number;
  readonly key: RetryKey | undefined;
}

/** More than a history holds, so that one of them is always unused. */
export const RETRY_KEYS = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J'] as const;

export type RetryKey = (typeof RETRY_KEYS)[number];

/** The roles of every user; their order means nothing in a scope. */
export const ROLES = ['reader', 'writer'] as const;

/** How a user proves who they are by a login, and by more than that. */
const METHODS = ['pwd'] as const;
export const MORE_METHODS = ['pwd', 'otp', 'mfa'] as const;

/** What a refresh may ask for; the last is more than any user has. */
export const SCOPES = ['reader', 'writer reader', 'reader owner'] as const;

export type Scope = (typeof SCOPES)[number];

type End = 'reuse' | 'disabling' | 'other';

export type Action =
  | { readonly kind: 'register'; readonly isEmailTaken: boolean }
  | { readonly kind: 'log in'; readonly user: number; readonly isPasswordRight: boolean }
  | { readonly kind: 'refresh'; readonly token: Token; readonly key: RetryKey | undefined; readonly scope?: Scope }
  | { readonly kind: 'refresh with a damaged token'; readonly token: Token }
  | { readonly kind: 'log out'; readonly refreshToken: Token | undefined; readonly accessTokenOf: number | undefined }
  | { readonly kind: 'log out everywhere'; readonly accessTokenOf: number }
  | { readonly kind: 'end session'; readonly accessTokenOf: number; readonly target: number }
  | { readonly kind: 'change password'; readonly accessTokenOf: number; readonly isPasswordRight: boolean }
  | { readonly kind: 'read user'; readonly accessTokenOf: number }
  | { readonly kind: 'list sessions'; readonly accessTokenOf: number }
  | { readonly kind: 'disable'; readonly user: number }
  /** Changes what only a hand in the database can: the sessions are left alone. */
  | { readonly kind: 'disable the row'; readonly user: number }
  /** As a later version of the service would after another factor; this one only has to pass it on. */
  | { readonly kind: 'authenticate in the row'; readonly family: number }
  | { readonly kind: 'enable'; readonly user: number }
  | { readonly kind: 'clean up' }
  | { readonly kind: 'move clock'; readonly seconds: number }
  | { readonly kind: 'change settings'; readonly to: Settings }
  | { readonly kind: 'back up'; readonly family: number }
  | { readonly kind: 'restore'; readonly family: number };

export interface Token {
  readonly family: number;
  readonly generation: number;
}

/** What a client, or an operator, is told. */
export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  | {
      readonly kind: 'pair';
      readonly user: number;
      readonly token: Token;
      /** Those of the access token. */
      readonly roles: readonly string[];
      readonly amr: readonly string[];
      readonly authenticatedSecondsAgo: number;
      readonly expiresInSeconds: number;
      readonly refreshExpiresInSeconds: number;
    }
  | { readonly kind: 'user'; readonly user: number }
  | { readonly kind: 'sessions'; readonly sessions: readonly ListedSession[] }
  | { readonly kind: 'count'; readonly count: number };

export interface ListedSession {
  readonly family: number;
  readonly isCurrent: boolean;
  readonly createdSecondsAgo: number;
  readonly lastUsedSecondsAgo: number;
  readonly lifetimeSeconds: number;
}

export interface Step {
  readonly world: World;
  readonly answer: Answer;
}

export const ACCESS_TOKEN_TTL_SECONDS = 300;

/** The longest access token that may be, and two minutes: until then a family's row stays behind. */
const TOMBSTONE_SECONDS = 3_720;

const ROTATIONS_IN_HISTORY = 8;

const CODE_BY_END = {
  reuse: 'refresh_token_reused',
  disabling: 'account_disabled',
  other: 'session_revoked',
} as const satisfies Record<End, ProblemCode>;

const DONE: Answer = { kind: 'done' };

export function newWorld(settings: Settings, userCount: number): World {
  const users = Array.from({ length: userCount }, () => ({ password: 0, isDisabled: false }));
  return { nowMs: 0, settings, users, families: [] };
}

/** One action of one client, alone: what it is answered, and what it leaves behind. */
export function take(world: World, action: Action): Step {
  switch (action.kind) {
    case 'register':
      return action.isEmailTaken
        ? refuse(world, 'email_taken')
        : {
            world: { ...world, users: [...world.users, { password: 0, isDisabled: false }] },
            answer: { kind: 'user', user: world.users.length },
          };
    case 'log in':
      return logIn(world, action.user, action.isPasswordRight);
    case 'refresh':
      return refresh(world, action.token, action.key, action.scope);
    case 'refresh with a damaged token':
      return refuse(world, 'refresh_token_invalid');
    case 'log out':
      return {
        world: [action.refreshToken?.family, action.accessTokenOf].reduce<World>(
          (before, family) => (family === undefined ? before : end(before, family, 'other')),
          world,
        ),
        answer: DONE,
      };
    case 'log out everywhere': {
      const { user, endedAtMs = Infinity } = familyOf(world, action.accessTokenOf);
      return { world: endAll(world, user, 'other', endedAtMs), answer: DONE };
    }
    case 'end session':
      return withAccessToken(world, action.accessTokenOf, ({ user }) => {
        const target = familyOf(world, action.target);
        return target.user === user && !target.isCleanedUp
          ? { world: end(world, action.target, 'other'), answer: DONE }
          : refuse(world, 'not_found');
      });
    case 'change password':
      return withAccessToken(world, action.accessTokenOf, ({ user }) =>
        changePassword(world, user, action.isPasswordRight),
      );
    case 'read user':
      return withAccessToken(world, action.accessTokenOf, ({ user }) => ({ world, answer: { kind: 'user', user } }));
    case 'list sessions':
      return withAccessToken(world, action.accessTokenOf, ({ user }) => ({
        world,
        answer: {
          kind: 'sessions',
          sessions: liveFamilies(world, user).map((family) => listed(world, family, action.accessTokenOf)),
        },
      }));
    case 'disable': {
      const after = endAll(setDisabled(world, action.user, true), action.user, 'disabling');
      return { world: after, answer: { kind: 'count', count: endedBetween(world, after).length } };
    }
    case 'disable the row':
      return { world: setDisabled(world, action.user, true), answer: DONE };
    case 'authenticate in the row':
      return {
        world: change(world, action.family, () => ({ authenticatedAtMs: world.nowMs, amr: MORE_METHODS })),
        answer: DONE,
      };
    case 'enable':
      return { world: setDisabled(world, action.user, false), answer: DONE };
    case 'clean up': {
      const isDue = (family: Family): boolean =>
        !family.isCleanedUp && world.nowMs > family.endsAtMs + TOMBSTONE_SECONDS * 1000;
      return {
        world: {
          ...world,
          families: world.families.map((family) => (isDue(family) ? { ...family, isCleanedUp: true } : family)),
        },
        answer: { kind: 'count', count: world.families.filter(isDue).length },
      };
    }
    case 'move clock':
      return { world: { ...world, nowMs: world.nowMs + action.seconds * 1000 }, answer: DONE };
    case 'change settings':
      return { world: { ...world, settings: action.to }, answer: DONE };
    case 'back up':
      return { world: change(world, action.family, ({ rotation }) => ({ backup: rotation })), answer: DONE };
    case 'restore':
      return {
        world: change(world, action.family, ({ rotation, backup }) => ({ rotation: backup ?? rotation })),
        answer: DONE,
      };
  }
}

/** Whether a refresh could still continue it, its user permitting. */
export function isLive(world: World, family: Family): boolean {
  const idleEndsAtMs = family.rotation.atMs + world.settings.idleSeconds * 1000;
  return !family.isCleanedUp && family.end === undefined && world.nowMs < family.endsAtMs && world.nowMs < idleEndsAtMs;
}

/** The families that a step ended other than by time. */
export function endedBetween(before: World, after: World): readonly number[] {
  return after.families.flatMap((family, index) =>
    family.end !== undefined && before.families[index]?.end === undefined ? [index] : [],
  );
}

/** The table of docs/rotation.md, in its order; what a forger could do has tests of its own. */
function refresh(
  world: World,
  { family: index, generation: presented }: Token,
  key: RetryKey | undefined,
  scope?: Scope,
): Step {
  const family = familyOf(world, index);
  const { generation: current, atMs: rotatedAtMs, key: lastKey, history } = family.rotation;
  const { graceSeconds, rollsForward } = world.settings;
  const isRetry = key !== undefined && key === lastKey;
  const isInGrace = lastKey === undefined && world.nowMs < rotatedAtMs + graceSeconds * 1000;

  if (family.isCleanedUp) {
    return refuse(world, 'session_expired');
  }
  if (family.end !== undefined) {
    return refuse(world, CODE_BY_END[family.end]);
  }
  if (!isLive(world, family)) {
    return refuse(world, 'session_expired');
  }
  if (userOf(world, family.user).isDisabled) {
    return refuse(world, 'account_disabled');
  }
  if (presented === current && key !== undefined && history.some((used) => used.key === key)) {
    return refuse(world, 'idempotency_key_reused');
  }
  if (presented === current || (presented > current && rollsForward)) {
    if (scope === 'reader owner') {
      return refuse(world, 'roles_not_granted');
    }
    return grant(
      change(world, index, ({ newestGeneration }) => ({
        rotation: {
          generation: presented + 1,
          atMs: world.nowMs,
          key,
          history: [{ generation: presented, key }, ...history].slice(0, ROTATIONS_IN_HISTORY),
        },
        newestGeneration: Math.max(newestGeneration, presented + 1),
      })),
      index,
      scope,
    );
  }
  if (presented > current) {
    return refuse(end(world, index, 'other'), 'session_revoked');
  }
  if (presented === current - 1 && (isRetry || isInGrace)) {
    return grant(world, index, scope);
  }
  if (key !== undefined && history.some((used) => used.generation === presented && used.key === key)) {
    return refuse(world, 'idempotency_key_reused');
  }
  return refuse(end(world, index, 'reuse'), 'refresh_token_reused');
}

function logIn(world: World, user: number, isPasswordRight: boolean): Step {
  if (!isPasswordRight) {
    return refuse(world, 'invalid_credentials');
  }
  return userOf(world, user).isDisabled ? refuse(world, 'account_disabled') : openSession(world, user);
}

function changePassword(world: World, user: number, isPasswordRight: boolean): Step {
  if (!isPasswordRight) {
    return refuse(world, 'invalid_credentials');
  }
  if (userOf(world, user).isDisabled) {
    return refuse(world, 'account_disabled');
  }
  const changed = changeUser(world, user, ({ password }) => ({ password: password + 1 }));
  return openSession(endAll(changed, user, 'other'), user);
}

/** A new family; those that were rotated longest ago make room for it. */
function openSession(world: World, user: number): Step {
  const evicted = liveFamilies(world, user).slice(world.settings.maxSessions - 1);
  const withRoom = evicted.reduce((before, family) => end(before, family, 'other'), world);
  const family: Family = {
    user,
    createdAtMs: world.nowMs,
    endsAtMs: world.nowMs + world.settings.lifetimeSeconds * 1000,
    authenticatedAtMs: world.nowMs,
    amr: METHODS,
    rotation: { generation: 1, atMs: world.nowMs, key: undefined, history: [] },
    backup: undefined,
    newestGeneration: 1,
    end: undefined,
    endedAtMs: undefined,
    isCleanedUp: false,
  };
  return grant({ ...withRoom, families: [...withRoom.families, family] }, world.families.length);
}

/** The pair with the family's one good token. */
function grant(world: World, index: number, scope?: Scope): Step {
  const { user, endsAtMs, authenticatedAtMs, amr, rotation } = familyOf(world, index);
  const untilEndSeconds = wholeSeconds(endsAtMs - world.nowMs);
  const untilIdleSeconds = wholeSeconds(rotation.atMs - world.nowMs) + world.settings.idleSeconds;
  return {
    world,
    answer: {
      kind: 'pair',
      user,
      token: { family: index, generation: rotation.generation },
      roles: ROLES.filter((role) => scope === undefined || scope.includes(role)),
      amr,
      authenticatedSecondsAgo: wholeSeconds(world.nowMs - authenticatedAtMs),
      expiresInSeconds: Math.min(ACCESS_TOKEN_TTL_SECONDS, untilEndSeconds),
      refreshExpiresInSeconds: Math.min(untilIdleSeconds, untilEndSeconds),
    },
  };
}

function refuse(world: World, code: ErrorCode): Step {
  return { world, answer: { kind: 'refused', code } };
}

/** An access token works until its session is ended. That of a session that ran out dies of its own age. */
function withAccessToken(world: World, index: number, act: (family: Family) => Step): Step {
  const family = familyOf(world, index);
  return family.end === undefined ? act(family) : refuse(world, 'access_token_revoked');
}

/** The last rotated first. */
function liveFamilies(world: World, user: number): readonly number[] {
  return world.families
    .flatMap((family, index) => (family.user === user && isLive(world, family) ? [index] : []))
    .sort((one, other) => familyOf(world, other).rotation.atMs - familyOf(world, one).rotation.atMs);
}

function listed(world: World, index: number, current: number): ListedSession {
  const { createdAtMs, endsAtMs, rotation } = familyOf(world, index);
  return {
    family: index,
    isCurrent: index === current,
    createdSecondsAgo: wholeSeconds(world.nowMs - createdAtMs),
    lastUsedSecondsAgo: wholeSeconds(world.nowMs - rotation.atMs),
    lifetimeSeconds: wholeSeconds(endsAtMs - createdAtMs),
  };
}

/** Nothing ends twice, so the first reason stays; and what has been cleaned up cannot end any more. */
function end(world: World, index: number, reason: End): World {
  return change(world, index, (family) =>
    family.end === undefined && !family.isCleanedUp ? { end: reason, endedAtMs: world.nowMs } : {},
  );
}

function endAll(world: World, user: number, reason: End, openedBeforeMs = Infinity): World {
  return world.families.reduce(
    (before, family, index) =>
      family.user === user && family.createdAtMs < openedBeforeMs ? end(before, index, reason) : before,
    world,
  );
}

function setDisabled(world: World, user: number, isDisabled: boolean): World {
  return changeUser(world, user, () => ({ isDisabled }));
}

function change(world: World, index: number, changes: (family: Family) => Partial<Family>): World {
  return {
    ...world,
    families: world.families.map((family, at) => (at === index ? { ...family, ...changes(family) } : family)),
  };
}

function changeUser(world: World, index: number, changes: (user: User) => Partial<User>): World {
  return { ...world, users: world.users.map((user, at) => (at === index ? { ...user, ...changes(user) } : user)) };
}

export function familyOf(world: World, index: number): Family {
  return world.families[index]!;
}

function userOf(world: World, index: number): User {
  return world.users[index]!;
}

function wholeSeconds(ms: number): number {
  return Math.round(ms / 1000);
}
