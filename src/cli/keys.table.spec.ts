import { describe, expect, it } from 'vitest';
import type { KeyOverview, PlannedTransition } from '../keys/keys.types.js';
import { keysTable, planTable } from './keys.table.js';

const since = new Date('2026-01-02T03:04:05.678Z');
const until = new Date('2026-02-03T04:05:06.789Z');
const active: KeyOverview = {
  kid: 'kid-of-the-active-key',
  algorithm: 'ES256',
  status: 'active',
  createdAt: until,
  activatedAt: since,
  retiringAt: null,
  secret: 'current',
};

describe('what the keys command shows', () => {
  it('is one line for each key: since when it is what it is, and until when', () => {
    const next: KeyOverview = { ...active, kid: 'b', status: 'next', activatedAt: null, signsFrom: until };
    const retiring: KeyOverview = { ...active, kid: 'c', status: 'retiring', retiringAt: until, removedFrom: until };
    expect(
      keysTable([active, { ...next, algorithm: 'RS256' }, { ...retiring, secret: 'accepted' }], Infinity).split('\n'),
    ).toEqual([
      'KID                    ALGORITHM  STATUS    SINCE                     THEN                                 SECRET',
      'kid-of-the-active-key  ES256      active    2026-01-02T03:04:05.678Z  -                                    current',
      'b                      RS256      next      2026-02-03T04:05:06.789Z  signs from 2026-02-03T04:05:06.789Z  current',
      'c                      ES256      retiring  2026-02-03T04:05:06.789Z  removed at 2026-02-03T04:05:06.789Z  accepted',
    ]);
  });

  it('is one line for each thing to come', () => {
    const transitions: PlannedTransition[] = [
      { at: since, kind: 'publish', kid: 'new key 1', algorithm: 'ES256' },
      { at: until, kind: 'activate', kid: 'new key 1', algorithm: 'ES256' },
      { at: until, kind: 'remove', kid: active.kid, algorithm: 'RS256' },
    ];
    expect(planTable(transitions, Infinity).split('\n')).toEqual([
      'AT                        KEY                    IS         ALGORITHM',
      '2026-01-02T03:04:05.678Z  new key 1              published  ES256',
      '2026-02-03T04:05:06.789Z  new key 1              activated  ES256',
      '2026-02-03T04:05:06.789Z  kid-of-the-active-key  removed    RS256',
    ]);
  });
});
