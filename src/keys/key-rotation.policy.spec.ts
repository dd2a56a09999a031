import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { addSeconds } from '../platform/common/clock.js';
import { afterTransition, forecast } from './key-forecast.js';
import {
  type KeySettings,
  nextStep,
  RELOAD_SECONDS,
  standsInUntil,
  switchPossibleFrom,
  tokensEndAt,
} from './key-rotation.policy.js';
import type { KeyRecord, KeyTransition } from './keys.types.js';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
const SPREAD_SECONDS = 20;

const NOW = new Date('2026-06-01T00:00:00Z');
const LONG_AGO = addSeconds(NOW, -1_000 * DAY_SECONDS);
const settings: KeySettings = {
  algorithm: 'ES256',
  rotationSeconds: 90 * DAY_SECONDS,
  publicationSeconds: DAY_SECONDS,
};

function ago(seconds: number): Date {
  return addSeconds(NOW, -seconds);
}

function key(status: KeyRecord['status'], sinceSeconds: number, more: Partial<KeyRecord> = {}): KeyRecord {
  const since = ago(sinceSeconds);
  return {
    kid: status,
    algorithm: 'ES256',
    status,
    createdAt: since,
    activatedAt: status === 'next' ? null : since,
    retiringAt: status === 'retiring' ? since : null,
    ...more,
  };
}

const retention = SPREAD_SECONDS + HOUR_SECONDS + DAY_SECONDS;

describe('the next step in the life of the signing keys', () => {
  const full = Array.from({ length: 9 }, (_, index) => key('retiring', index, { kid: `retiring ${index}` }));

  it.each<{ case: string; keys: KeyRecord[]; step: object; but?: Partial<KeySettings>; kidsAtStart?: string[] }>([
    {
      case: 'of none at all is a first one',
      keys: [],
      step: { kind: 'publish', algorithm: 'ES256' },
    },
    {
      case: 'of one that has just been made for an empty table is to sign at once, as nobody has cached anything',
      keys: [key('next', 0)],
      step: { kind: 'activate', kid: 'next' },
    },
    {
      case: 'is nothing until the next one has to be published to sign in time',
      keys: [key('active', 0)],
      step: { kind: 'wait', until: addSeconds(NOW, 89 * DAY_SECONDS - SPREAD_SECONDS) },
    },
    {
      case: 'is the publication of the next one when that time has come',
      keys: [key('active', 89 * DAY_SECONDS - SPREAD_SECONDS)],
      step: { kind: 'publish', algorithm: 'ES256' },
    },
    {
      case: 'is nothing where rotation is off',
      keys: [key('active', 1_000 * DAY_SECONDS)],
      but: { rotationSeconds: undefined },
      step: { kind: 'wait', until: undefined },
    },
    {
      case: 'is nothing until a published key can be in every cache',
      keys: [key('active', 90 * DAY_SECONDS), key('next', DAY_SECONDS)],
      step: { kind: 'wait', until: addSeconds(NOW, SPREAD_SECONDS) },
    },
    {
      case: 'lets it sign then',
      keys: [key('active', 90 * DAY_SECONDS), key('next', DAY_SECONDS + SPREAD_SECONDS)],
      step: { kind: 'activate', kid: 'next' },
    },
    {
      case: 'waits longer where caches live longer',
      keys: [key('active', 90 * DAY_SECONDS), key('next', DAY_SECONDS + SPREAD_SECONDS)],
      but: { publicationSeconds: 2 * DAY_SECONDS },
      step: { kind: 'wait', until: addSeconds(NOW, DAY_SECONDS) },
    },
    {
      case: 'keeps a retiring key while a token of it or a cache of the set may live',
      keys: [key('active', 0), key('retiring', retention - 1)],
      step: { kind: 'wait', until: addSeconds(NOW, 1) },
    },
    {
      case: 'removes it after that',
      keys: [key('active', 0), key('retiring', retention)],
      step: { kind: 'remove', kid: 'retiring' },
    },
    {
      case: 'publishes a key of the algorithm that is configured now, while the old one signs',
      keys: [key('active', HOUR_SECONDS)],
      but: { algorithm: 'RS256', rotationSeconds: undefined },
      step: { kind: 'publish', algorithm: 'RS256' },
    },
    {
      case: 'withdraws a waiting key of an algorithm that an operator has thought better of',
      keys: [key('active', DAY_SECONDS), key('next', HOUR_SECONDS, { algorithm: 'RS256' })],
      step: { kind: 'withdraw', kid: 'next' },
    },
    {
      case: 'leaves a waiting key of another algorithm alone where a younger instance has published it',
      keys: [key('active', DAY_SECONDS), key('next', HOUR_SECONDS, { algorithm: 'RS256' })],
      kidsAtStart: ['active'],
      step: { kind: 'wait', until: addSeconds(NOW, DAY_SECONDS + SPREAD_SECONDS - HOUR_SECONDS) },
    },
    {
      case: 'does not go back to its own algorithm where a younger instance has changed it',
      keys: [key('active', HOUR_SECONDS, { algorithm: 'RS256' })],
      kidsAtStart: [],
      but: { rotationSeconds: undefined },
      step: { kind: 'wait', until: undefined },
    },
    {
      case: 'rotates within the algorithm that a younger instance has chosen',
      keys: [key('active', 90 * DAY_SECONDS, { algorithm: 'RS256' })],
      kidsAtStart: [],
      step: { kind: 'publish', algorithm: 'RS256' },
    },
    {
      case: 'publishes no eleventh key, and waits for the first removal',
      keys: [key('active', 90 * DAY_SECONDS), ...full],
      step: { kind: 'wait', until: addSeconds(NOW, retention - 8) },
    },
    {
      case: 'publishes no eleventh key for another algorithm either',
      keys: [key('active', 0), ...full],
      but: { algorithm: 'RS256' },
      step: { kind: 'wait', until: addSeconds(NOW, retention - 8) },
    },
    {
      case: 'publishes a tenth',
      keys: [key('active', 90 * DAY_SECONDS), ...full.slice(1)],
      step: { kind: 'publish', algorithm: 'ES256' },
    },
  ])('$case', ({ keys, step, but = {}, kidsAtStart = keys.map(({ kid }) => kid) }) => {
    expect(nextStep(keys, NOW, { ...settings, ...but }, new Set(kidsAtStart))).toEqual(step);
  });
});

describe('exceptions', () => {
  it('a forced key still waits until every instance has tried twice to load it', () => {
    expect(switchPossibleFrom(NOW)).toEqual(addSeconds(NOW, SPREAD_SECONDS));
    expect(SPREAD_SECONDS).toBeGreaterThanOrEqual(2 * RELOAD_SECONDS);
  });

  it('a settled switch comes before everything else that concerns the signing key, and is complete on all instances', () => {
    const at = addSeconds(NOW, 5);
    const keys = [
      key('active', 90 * DAY_SECONDS, { retiringAt: at }),
      key('next', HOUR_SECONDS, { activatedAt: at, algorithm: 'RS256' }),
    ];
    const all = new Set(['active', 'next']);
    const completeAt = addSeconds(at, 0.5);
    expect(nextStep(keys, at, settings, all)).toEqual({ kind: 'wait', until: completeAt });
    const [outgoing, incoming] = keys;
    expect(nextStep(keys, completeAt, settings, all)).toEqual({
      kind: 'switch',
      to: { at, incoming, outgoing: [outgoing] },
    });
    expect(forecast(keys, NOW, { ...settings, algorithm: 'RS256' }, 2)).toEqual([
      { at, kind: 'activate', kid: 'next', algorithm: 'RS256' },
      { at, kind: 'remove', kid: 'active', algorithm: 'ES256' },
    ]);
  });

  it('a switch without a stolen key leaves the old one to verify', () => {
    const at = addSeconds(NOW, 5);
    const keys = [key('active', DAY_SECONDS), key('next', HOUR_SECONDS, { activatedAt: at })];
    const step = nextStep(keys, addSeconds(at, 60), settings, new Set());
    expect(afterTransition(keys, step as KeyTransition, NOW, '')).toEqual([
      { ...keys[0], status: 'retiring', retiringAt: at },
      { ...keys[1], status: 'active' },
    ]);
  });

  it('tokens of a retiring key live for the longest life there is, and those of a withdrawn one do not exist', () => {
    expect(tokensEndAt(key('retiring', 0))).toEqual(addSeconds(NOW, SPREAD_SECONDS + HOUR_SECONDS));
    expect(tokensEndAt(key('retiring', 0, { activatedAt: null })) <= NOW).toBe(true);
  });

  it('a key that stands in for an unreadable one stops signing a token’s life before it is removed', () => {
    expect(standsInUntil(key('retiring', 0), settings)).toEqual(addSeconds(NOW, DAY_SECONDS));
  });
});

describe('a forecast', () => {
  it('tells a whole rotation, and ends where nothing follows', () => {
    const transitions = forecast([key('active', 0)], NOW, settings, 4);
    const publishedAt = addSeconds(NOW, 89 * DAY_SECONDS - SPREAD_SECONDS);
    const activatedAt = addSeconds(NOW, 90 * DAY_SECONDS);
    const algorithm = 'ES256';
    expect(transitions).toEqual([
      { at: publishedAt, kind: 'publish', kid: 'new key 1', algorithm },
      { at: activatedAt, kind: 'activate', kid: 'new key 1', algorithm },
      { at: addSeconds(activatedAt, retention), kind: 'remove', kid: 'active', algorithm },
      { at: addSeconds(publishedAt, 90 * DAY_SECONDS), kind: 'publish', kid: 'new key 2', algorithm },
    ]);
    expect(forecast([key('active', 0)], NOW, { ...settings, rotationSeconds: undefined }, 4)).toEqual([]);
  });
});

/** Instances that come and go with any settings, each looking at the keys at any time. */
describe('whatever instances there are, and whenever they look', () => {
  const anySettings = fc.record({
    algorithm: fc.constantFrom('ES256', 'RS256'),
    rotationSeconds: fc.option(fc.integer({ min: 31 * DAY_SECONDS, max: 90 * DAY_SECONDS }), { nil: undefined }),
  });
  const events = fc.array(
    fc.record({
      afterSeconds: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 40 * DAY_SECONDS })),
      instance: fc.nat(2),
      restartWith: fc.option(anySettings, { nil: undefined, freq: 4 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  const publication = fc.integer({ min: 7_800, max: 30 * DAY_SECONDS });

  interface World {
    keys: readonly KeyRecord[];
    at: Date;
    published: number;
  }

  function kidsOf({ keys }: World): ReadonlySet<string> {
    return new Set(keys.map(({ kid }) => kid));
  }

  function look(world: World, own: KeySettings, kidsAtStart: ReadonlySet<string>): void {
    for (;;) {
      const { keys, at } = world;
      const step = nextStep(keys, at, own, kidsAtStart);
      if (step.kind === 'wait') {
        expect(step.until === undefined || step.until > at).toBe(true);
        return;
      }
      if (step.kind === 'publish') {
        world.published += 1;
      } else if (step.kind !== 'switch') {
        const subject = keys.find(({ kid }) => kid === step.kid);
        const since = (subject?.retiringAt ?? subject?.createdAt ?? LONG_AGO).getTime();
        const ageSeconds = (at.getTime() - since) / 1_000;
        if (step.kind === 'activate' && keys.length > 1) {
          expect(ageSeconds).toBeGreaterThanOrEqual(own.publicationSeconds);
        }
        if (step.kind === 'remove') {
          expect(subject?.status).toBe('retiring');
          expect(ageSeconds).toBeGreaterThanOrEqual(own.publicationSeconds + HOUR_SECONDS);
        }
      }
      world.keys = afterTransition(keys, step, at, `key ${world.published}`);
    }
  }

  it('one key signs, at most one waits, and never more than ten are published', () => {
    fc.assert(
      fc.property(events, publication, (script, publicationSeconds) => {
        const world: World = { keys: [], at: NOW, published: 0 };
        const instances = [0, 1, 2].map(() => ({
          own: { ...settings, publicationSeconds },
          kidsAtStart: kidsOf(world),
        }));
        for (const { afterSeconds, instance, restartWith } of script) {
          world.at = addSeconds(world.at, afterSeconds);
          const chosen = instances[instance]!;
          if (restartWith !== undefined) {
            Object.assign(chosen, { own: { ...restartWith, publicationSeconds }, kidsAtStart: kidsOf(world) });
          }
          look(world, chosen.own, chosen.kidsAtStart);
          const statuses = world.keys.map(({ status }) => status);
          expect(statuses.filter((status) => status === 'active')).toHaveLength(1);
          expect(statuses.filter((status) => status === 'next').length).toBeLessThanOrEqual(1);
          expect(statuses.length).toBeLessThanOrEqual(10);
        }
      }),
    );
  });

  it('the algorithm of the instance that was started last wins, and two that disagree do not take turns', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1), { minLength: 400, maxLength: 400 }), publication, (turns, publicationSeconds) => {
        const world: World = { keys: [], at: NOW, published: 0 };
        const never = { rotationSeconds: undefined, publicationSeconds };
        const older = { own: { ...never, algorithm: 'ES256' as const }, kidsAtStart: kidsOf(world) };
        look(world, older.own, older.kidsAtStart);
        const younger = { own: { ...never, algorithm: 'RS256' as const }, kidsAtStart: kidsOf(world) };
        look(world, younger.own, younger.kidsAtStart);
        for (const turn of turns) {
          world.at = addSeconds(world.at, publicationSeconds / 100);
          const { own, kidsAtStart } = turn === 0 ? older : younger;
          look(world, own, kidsAtStart);
        }
        expect(world.published).toBe(2);
        expect(world.keys.find(({ status }) => status === 'active')?.algorithm).toBe('RS256');
      }),
      { numRuns: 10 },
    );
  });
});
