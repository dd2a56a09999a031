import { addSeconds } from '../platform/common/clock.js';
import { LONGEST_ACCESS_TOKEN_SECONDS } from '../platform/config/access-token-lifetime.js';
import type { Config, JwtAlgorithm } from '../platform/config/config.js';
import type { KeyRecord, KeySwitch, KeyTransition } from './keys.types.js';

const DAY_SECONDS = 86_400;

/**
 * After this time every instance that reaches the database knows of a change: it reloads the keys every 10 s, and a
 * statement takes 5 s at most.
 */
const SPREAD_SECONDS = 20;

/** How soon an instance learns of a change by another one; leaves time for two attempts within `SPREAD_SECONDS`. */
export const RELOAD_SECONDS = 10;

/**
 * No key signs so shortly before and after a stolen one leaves the set: by so much may two instances differ in what they
 * take for the database's time. So all have ceased to sign with the stolen key before one serves the set without it, and
 * all serve that set before one signs with the new key.
 */
export const SWITCH_MARGIN_MS = 500;

/** AWS and others read no more keys of a JWK Set. */
const MOST_PUBLISHED_KEYS = 10;

export interface KeySettings {
  /** What new keys are made for. */
  readonly algorithm: JwtAlgorithm;
  /** How long a key signs; undefined: until an operator rotates. */
  readonly rotationSeconds: number | undefined;
  /** The longest that a verifier caches the JWK Set. */
  readonly publicationSeconds: number;
}

/** `wait` means that nothing is due until then; ever, when `until` is undefined. */
export type KeyStep = KeyTransition | { readonly kind: 'wait'; readonly until: Date | undefined };

export function keySettingsOf({ accessTokens, signingKeys }: Config): KeySettings {
  const { rotationDays, publicationSeconds } = signingKeys;
  return {
    algorithm: accessTokens.algorithm,
    rotationSeconds: rotationDays === 0 ? undefined : rotationDays * DAY_SECONDS,
    publicationSeconds,
  };
}

/**
 * Returns the first transition that is due; callers apply it and ask again until the answer is `wait`. No transition
 * makes an instance refuse a valid token, nor a verifier that caches the JWK Set for as long as the settings say.
 *
 * @param now the database's clock
 * @param kidsAtStart the keys that existed when the asking instance started. Instances with different algorithms do not
 *   undo each other's changes: only one that knew the newest key at its start, the last one started, applies its own
 */
export function nextStep(
  keys: readonly KeyRecord[],
  now: Date,
  settings: KeySettings,
  kidsAtStart: ReadonlySet<string>,
): KeyStep {
  const active = keys.find(({ status }) => status === 'active');
  const next = keys.find(({ status }) => status === 'next');
  const expired = keys.find((key) => key.status === 'retiring' && removableFrom(key, settings) <= now);
  if (expired !== undefined) {
    return { kind: 'remove', kid: expired.kid };
  }
  const settled = switchIn(keys);
  if (settled !== undefined) {
    return isComplete(settled, now) ? { kind: 'switch', to: settled } : waitFor(keys, settings, completeFrom(settled));
  }
  const canPublish = keys.length < MOST_PUBLISHED_KEYS;
  const knowsNewestKey = keys.every(({ kid }) => kidsAtStart.has(kid));

  if (active === undefined) {
    // Nothing can be signed, so waiting gains nothing.
    if (next !== undefined) {
      return { kind: 'activate', kid: next.kid };
    }
    return canPublish ? { kind: 'publish', algorithm: settings.algorithm } : waitFor(keys, settings);
  }
  if (next !== undefined) {
    if (knowsNewestKey && next.algorithm !== settings.algorithm) {
      return { kind: 'withdraw', kid: next.kid };
    }
    return signsFrom(next, settings) <= now
      ? { kind: 'activate', kid: next.kid }
      : waitFor(keys, settings, signsFrom(next, settings));
  }
  if (knowsNewestKey && active.algorithm !== settings.algorithm) {
    return canPublish ? { kind: 'publish', algorithm: settings.algorithm } : waitFor(keys, settings);
  }
  const publishAt = publicationDueAt(active, settings);
  if (publishAt === undefined || publishAt > now) {
    return waitFor(keys, settings, publishAt);
  }
  const algorithm = knowsNewestKey ? settings.algorithm : active.algorithm;
  return canPublish ? { kind: 'publish', algorithm } : waitFor(keys, settings);
}

/** Returns the switch that the keys carry: settled, and not carried out yet. */
export function switchIn(keys: readonly KeyRecord[]): KeySwitch | undefined {
  for (const incoming of keys) {
    const at = incoming.status === 'next' ? incoming.activatedAt : null;
    if (at !== null) {
      return { at, incoming, outgoing: keys.filter(({ retiringAt }) => retiringAt?.getTime() === at.getTime()) };
    }
  }
  return undefined;
}

/** Earliest instant for a switch that is settled now: every instance knows of it, even if gateways do not. */
export function switchPossibleFrom(now: Date): Date {
  return addSeconds(now, SPREAD_SECONDS);
}

/** Whether every instance has switched and signs again. */
export function isComplete(settled: KeySwitch, now: Date): boolean {
  return completeFrom(settled) <= now;
}

function completeFrom({ at }: KeySwitch): Date {
  return addSeconds(at, SWITCH_MARGIN_MS / 1_000);
}

/** Earliest time at which a `next` key may sign: every cache of an older set has expired, or its switch has come. */
export function signsFrom(
  { createdAt, activatedAt = null }: Pick<KeyRecord, 'createdAt'> & Partial<KeyRecord>,
  { publicationSeconds }: KeySettings,
): Date {
  return activatedAt ?? addSeconds(createdAt, SPREAD_SECONDS + publicationSeconds);
}

/** Time at which the last token that a `retiring` key has signed has expired. */
export function tokensEndAt({ activatedAt, retiringAt, createdAt }: KeyRecord): Date {
  const hasSigned = activatedAt !== null && retiringAt !== null;
  return hasSigned ? addSeconds(retiringAt, SPREAD_SECONDS + LONGEST_ACCESS_TOKEN_SECONDS) : createdAt;
}

/** Earliest time at which no verifier needs a `retiring` key. */
export function removableFrom({ retiringAt, createdAt }: KeyRecord, { publicationSeconds }: KeySettings): Date {
  return addSeconds(retiringAt ?? createdAt, SPREAD_SECONDS + LONGEST_ACCESS_TOKEN_SECONDS + publicationSeconds);
}

/**
 * Time until which an instance that cannot read the active key may fall back to the one before it. Everything it signs
 * expires before that key is removed.
 */
export function standsInUntil({ retiringAt, createdAt }: KeyRecord, { publicationSeconds }: KeySettings): Date {
  return addSeconds(retiringAt ?? createdAt, publicationSeconds);
}

/** Returns when the first removal makes room for another key; undefined when there is room. */
export function publicationPossibleFrom(keys: readonly KeyRecord[], settings: KeySettings): Date | undefined {
  return keys.length < MOST_PUBLISHED_KEYS ? undefined : firstRemoval(keys, settings);
}

/** Early enough that the next key may sign when the active one reaches its age. */
function publicationDueAt({ activatedAt, createdAt }: KeyRecord, settings: KeySettings): Date | undefined {
  const { rotationSeconds, publicationSeconds } = settings;
  return rotationSeconds === undefined
    ? undefined
    : addSeconds(activatedAt ?? createdAt, rotationSeconds - publicationSeconds - SPREAD_SECONDS);
}

/** Waits until the first removal, or until `also` if that is earlier. */
function waitFor(keys: readonly KeyRecord[], settings: KeySettings, also?: Date): KeyStep {
  const removal = firstRemoval(keys, settings);
  return { kind: 'wait', until: also === undefined || (removal !== undefined && removal < also) ? removal : also };
}

function firstRemoval(keys: readonly KeyRecord[], settings: KeySettings): Date | undefined {
  return keys
    .filter(({ status }) => status === 'retiring')
    .map((key) => removableFrom(key, settings))
    .sort((a, b) => a.getTime() - b.getTime())[0];
}
