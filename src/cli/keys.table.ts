import type { PlannedTransition, KeyOverview, NamedKey } from '../keys/keys.types.js';
import { type Column, textTable } from './text-table.js';

const KEY_COLUMNS: readonly Column<KeyOverview>[] = [
  { heading: 'KID', cell: ({ kid }) => kid },
  { heading: 'ALGORITHM', cell: ({ algorithm }) => algorithm },
  { heading: 'STATUS', cell: ({ status }) => status },
  {
    heading: 'SINCE',
    cell: ({ createdAt, activatedAt, retiringAt }) => (retiringAt ?? activatedAt ?? createdAt).toISOString(),
  },
  { heading: 'THEN', cell: futureOf },
  { heading: 'SECRET', cell: ({ secret }) => secret },
];

const PLAN_COLUMNS: readonly Column<PlannedTransition>[] = [
  { heading: 'AT', cell: ({ at }) => at.toISOString() },
  { heading: 'KEY', cell: ({ kid }) => kid },
  { heading: 'IS', cell: ({ kind }) => EVENTS[kind] },
  { heading: 'ALGORITHM', cell: ({ algorithm }) => algorithm, isOptional: true },
];

/** What happens to a key: for people, and for programs. */
const EVENTS: Readonly<Record<PlannedTransition['kind'], string>> = {
  publish: 'published',
  activate: 'activated',
  withdraw: 'withdrawn',
  remove: 'removed',
};

/**
 * Renders the keys for people, each with its next change and the secret that protects it.
 *
 * @param width of the terminal, in columns
 */
export function keysTable(keys: readonly KeyOverview[], width: number): string {
  return textTable(KEY_COLUMNS, keys, width);
}

/**
 * Renders the transitions for people, in order.
 *
 * @param width of the terminal, in columns
 */
export function planTable(transitions: readonly PlannedTransition[], width: number): string {
  return textTable(PLAN_COLUMNS, transitions, width);
}

/** Formats a key for programs. Instants that are not known are null. */
export function keyJson(key: KeyOverview): object {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    status: key.status,
    created_at: key.createdAt,
    activated_at: key.activatedAt,
    retiring_at: key.retiringAt,
    signs_from: key.signsFrom ?? null,
    removed_from: key.removedFrom ?? null,
    secret: key.secret,
  };
}

/** Formats a transition for programs. */
export function transitionJson({ at, kind, kid, algorithm }: PlannedTransition): object {
  return { at, event: EVENTS[kind], kid, algorithm };
}

export function nameOf({ kid, algorithm }: NamedKey): string {
  return `${kid} (${algorithm})`;
}

function futureOf({ signsFrom, removedFrom }: KeyOverview): string {
  if (signsFrom !== undefined) {
    return `signs from ${signsFrom.toISOString()}`;
  }
  return removedFrom === undefined ? '-' : `removed at ${removedFrom.toISOString()}`;
}
