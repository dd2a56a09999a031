import { type KeySettings, nextStep } from './key-rotation.policy.js';
import type { KeyTransition, PlannedTransition, KeyRecord, NamedKey } from './keys.types.js';

/**
 * Lists what an instance that starts now will do by itself, in order.
 *
 * @param most the number of transitions to stop at, because every rotation is followed by another
 */
export function forecast(
  keys: readonly KeyRecord[],
  now: Date,
  settings: KeySettings,
  most: number,
): readonly PlannedTransition[] {
  const kidsAtStart = new Set(keys.map(({ kid }) => kid));
  const transitions: PlannedTransition[] = [];
  let state = keys;
  let at = now;
  while (transitions.length < most) {
    const step = nextStep(state, at, settings, kidsAtStart);
    if (step.kind !== 'wait') {
      const newKid = `new key ${transitions.filter(({ kind }) => kind === 'publish').length + 1}`;
      transitions.push(...planned(step, state, at, newKid));
      state = afterTransition(state, step, at, newKid);
    } else if (step.until === undefined) {
      break;
    } else {
      at = step.until;
    }
  }
  return transitions;
}

function planned(
  transition: KeyTransition,
  keys: readonly KeyRecord[],
  at: Date,
  newKid: string,
): readonly PlannedTransition[] {
  if (transition.kind !== 'switch') {
    return [{ at, kind: transition.kind, ...subjectOf(transition, keys, newKid) }];
  }
  const { at: switchedAt, incoming, outgoing } = transition.to;
  return [
    { at: switchedAt, kind: 'activate', ...nameOf(incoming) },
    ...outgoing.map((key) => ({ at: switchedAt, kind: 'remove' as const, ...nameOf(key) })),
  ];
}

function subjectOf(
  transition: Exclude<KeyTransition, { kind: 'switch' }>,
  keys: readonly KeyRecord[],
  newKid: string,
): NamedKey {
  if (transition.kind === 'publish') {
    return { kid: newKid, algorithm: transition.algorithm };
  }
  const key = keys.find(({ kid }) => kid === transition.kid);
  if (key === undefined) {
    throw new Error('the policy named a key that is not there');
  }
  return nameOf(key);
}

function nameOf({ kid, algorithm }: NamedKey): NamedKey {
  return { kid, algorithm };
}

/** Returns the keys after a transition. */
export function afterTransition(
  keys: readonly KeyRecord[],
  transition: KeyTransition,
  at: Date,
  newKid: string,
): readonly KeyRecord[] {
  switch (transition.kind) {
    case 'publish': {
      const { algorithm } = transition;
      return [...keys, { kid: newKid, algorithm, status: 'next', createdAt: at, activatedAt: null, retiringAt: null }];
    }
    case 'activate':
      return keys.map((key) =>
        key.kid === transition.kid
          ? { ...key, status: 'active', activatedAt: at }
          : key.status === 'active'
            ? { ...key, status: 'retiring', retiringAt: at }
            : key,
      );
    case 'withdraw':
      return keys.map((key) => (key.kid === transition.kid ? { ...key, status: 'retiring', retiringAt: at } : key));
    case 'remove':
      return keys.filter(({ kid }) => kid !== transition.kid);
    case 'switch': {
      const { at: switchedAt, incoming, outgoing } = transition.to;
      const left = keys.filter((key) => !outgoing.includes(key));
      return afterTransition(left, { kind: 'activate', kid: incoming.kid }, switchedAt, newKid);
    }
  }
}
