import { type KeySettings, nextStep } from './key-rotation.policy.js';
import type { Deed, ForeseenDeed, KeyRecord } from './keys.types.js';

/**
 * What an instance that is started now will do by itself, in order.
 *
 * @param most so many deeds at most: a rotation is followed by the next one
 */
export function forecast(
  keys: readonly KeyRecord[],
  now: Date,
  settings: KeySettings,
  most: number,
): readonly ForeseenDeed[] {
  const deeds: ForeseenDeed[] = [];
  let state = keys;
  let at = now;
  while (deeds.length < most) {
    const step = nextStep(state, at, settings, now);
    if (step.kind === 'wait') {
      if (step.until === undefined) {
        break;
      }
      at = step.until;
    } else {
      deeds.push({ at, deed: step });
      state = afterDeed(state, step, at, `(new key ${deeds.length})`);
    }
  }
  return deeds;
}

/** The keys as a deed leaves them. */
export function afterDeed(keys: readonly KeyRecord[], deed: Deed, at: Date, newKid: string): readonly KeyRecord[] {
  switch (deed.kind) {
    case 'publish': {
      const { algorithm } = deed;
      return [...keys, { kid: newKid, algorithm, status: 'next', createdAt: at, activatedAt: null, retiringAt: null }];
    }
    case 'activate':
      return keys.map((key) =>
        key.kid === deed.kid
          ? { ...key, status: 'active', activatedAt: at }
          : key.status === 'active'
            ? { ...key, status: 'retiring', retiringAt: at }
            : key,
      );
    case 'withdraw':
      return keys.map((key) => (key.kid === deed.kid ? { ...key, status: 'retiring', retiringAt: at } : key));
    case 'remove':
      return keys.filter(({ kid }) => kid !== deed.kid);
  }
}
