import type { KeyOverview, NamedKey } from '../keys/keys.types.js';
import { textTable } from './text-table.js';

const KEY_HEADINGS = ['KID', 'ALGORITHM', 'STATUS', 'SINCE', 'THEN', 'SECRET'];
const PLAN_HEADINGS = ['WHEN', 'WHAT', 'KEY'];

/** For people: one line per key, with when its life goes on and which secret protects it. */
export function keysTable(keys: readonly KeyOverview[]): string {
  return textTable([KEY_HEADINGS, ...keys.map(cellsOf)]);
}

/** For people: one line per deed, in order. */
export function planTable(
  deeds: readonly { readonly at: Date; readonly what: string; readonly key: string }[],
): string {
  return textTable([PLAN_HEADINGS, ...deeds.map(({ at, what, key }) => [at.toISOString(), what, key])]);
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
