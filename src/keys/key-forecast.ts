import { type KeySettings, nextStep } from './key-rotation.policy.js';
import type { Deed, ForeseenDeed, KeyRecord, NamedKey } from './keys.types.js';

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
  const kidsAtStart = new Set(keys.map(({ kid }) => kid));
  const deeds: ForeseenDeed[] = [];
  let state = keys;
  let at = now;
  while (deeds.length < most) {
    const step = nextStep(state, at, settings, kidsAtStart);
    if (step.kind !== 'wait') {
      const newKid = `new key ${deeds.filter(({ kind }) => kind === 'publish').length + 1}`;
      deeds.push({ at, kind: step.kind, ...subjectOf(step, state, newKid) });
      state = afterDeed(state, step, at, newKid);
    } else if (step.until === undefined) {
      break;
    } else {
      at = step.until;
    }
  }
  return deeds;
}

function subjectOf(deed: Deed, keys: readonly KeyRecord[], newKid: string): NamedKey {
  if (deed.kind === 'publish') {
    return { kid: newKid, algorithm: deed.algorithm };
  }
  const key = keys.find(({ kid }) => kid === deed.kid);
  if (key === undefined) {
    throw new Error('the policy named a key that is not there');
  }
  return { kid: key.kid, algorithm: key.algorithm };
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
