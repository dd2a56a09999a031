import type { PlannedTransition, KeyOverview, NamedKey } from '../keys/keys.types.js';
import { textTable } from './text-table.js';

const KEY_HEADINGS = ['KID', 'ALGORITHM', 'STATUS', 'SINCE', 'THEN', 'SECRET'];
const PLAN_HEADINGS = ['FROM', 'KEY', 'IS'];

const WHAT: Readonly<Record<PlannedTransition['kind'], string>> = {
  publish: 'published, does not sign yet',
  activate: 'the one that signs',
  withdraw: 'withdrawn, verifies only',
  remove: 'removed',
};

/** Renders one line per key for people, with its next change and the secret that protects it. */
export function keysTable(keys: readonly KeyOverview[]): string {
  return textTable([KEY_HEADINGS, ...keys.map(cellsOf)]);
}

/** Formats the transitions for people: one line each, in order. */
export function planTable(transitions: readonly PlannedTransition[]): string {
  return textTable([
    PLAN_HEADINGS,
    ...transitions.map((transition) => [transition.at.toISOString(), nameOf(transition), WHAT[transition.kind]]),
  ]);
}

export function nameOf({ kid, algorithm }: NamedKey): string {
  return `${kid} (${algorithm})`;
}

function cellsOf(key: KeyOverview): string[] {
  const { kid, algorithm, status, createdAt, activatedAt, retiringAt, secret } = key;
  const since = retiringAt ?? activatedAt ?? createdAt;
  return [kid, algorithm, status, since.toISOString(), futureOf(key), secret];
}

function futureOf({ signsFrom, removedFrom }: KeyOverview): string {
  if (signsFrom !== undefined) {
    return `signs from ${signsFrom.toISOString()}`;
  }
  return removedFrom === undefined ? '-' : `removed at ${removedFrom.toISOString()}`;
}
