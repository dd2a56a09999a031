import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  formatCursor,
  parseCursor,
  type CommittedRevocation,
  type LogPage,
  type LogPosition,
  RevocationLog,
} from './revocation-log.js';

const WINDOW_MS = 1_000;
const EPOCH = 'epoch-of-11';

function polled(log: RevocationLog, xid: number, revocations: readonly (readonly [string, number])[], nowMs = 0): void {
  log.addPolled(
    {
      revocations: revocations.map(([sessionId, each]) => ({ sessionId, xid: BigInt(each) })),
      epoch: EPOCH,
      completeBeforeXid: BigInt(xid),
    },
    nowMs,
  );
}

function idsIn({ sessionIds }: LogPage): readonly string[] {
  return JSON.parse(`[${sessionIds.toString()}]`) as string[];
}

function idsAfter(log: RevocationLog, position: LogPosition | undefined): readonly string[] {
  return idsIn(log.pageAfter(position));
}

describe('a revocation log', () => {
  it('knows the sessions that the database or its own instance reported, and no others', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 10, [['a', 9]]);
    log.add(['b'], 0);
    expect(['a', 'b', 'c'].map((id) => log.has(id))).toEqual([true, true, false]);
  });

  it('forgets an entry when its window is over, at the next poll', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 10, [['a', 9]], 0);
    polled(log, 11, [['b', 10]], 600);
    polled(log, 12, [['a', 9]], WINDOW_MS - 1);
    expect(idsAfter(log, undefined)).toEqual(['a', 'b']);
    polled(log, 13, [], WINDOW_MS);
    expect([log.has('a'), log.has('b')]).toEqual([false, true]);
    expect(idsAfter(log, undefined)).toEqual(['b']);
  });

  it('gives its own reader each entry once, also when a poll reads it again', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 9, []);
    log.add(['a'], 0);
    const first = log.end;
    polled(log, 10, [
      ['a', 9],
      ['b', 9],
    ]);
    expect(idsAfter(log, first)).toEqual(['b']);
    expect(idsAfter(log, log.end)).toEqual([]);
  });

  it('gives a reader whose entries it has forgotten the rest', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 10, [['a', 9]], 0);
    const position = log.end;
    polled(log, 12, [['b', 11]], 5);
    polled(log, 13, [['c', 12]], WINDOW_MS + 1);
    expect(idsAfter(log, position)).toEqual(['b', 'c']);
    polled(log, 14, [], 3 * WINDOW_MS);
    expect(idsAfter(log, position)).toEqual([]);
  });

  it.each<[string, Partial<LogPosition>]>([
    ['another history', { epoch: 'other-of-11' }],
    ['a future it does not know of', { instance: 'elsewhere', xid: 100n }],
  ])('gives a reader from %s the whole window', (_what, difference) => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 10, [['a', 3]]);
    expect(idsAfter(log, { ...log.end, ...difference })).toEqual(['a']);
  });

  it('gives the window in pages of bounded size, which readers at one position share', () => {
    const log = new RevocationLog('instance', WINDOW_MS, { most: 10, long: 5 });
    const ids = Array.from({ length: 25 }, (_, index) => `s${index}`);
    log.add(ids, 0);
    const first = log.pageAfter(undefined);
    const second = log.pageAfter(first.end);
    const third = log.pageAfter(second.end);
    expect([first, second, third].map(idsIn)).toEqual([ids.slice(0, 10), ids.slice(10, 20), ids.slice(20)]);
    expect([first, second, third].map(({ isLast }) => isLast)).toEqual([false, false, true]);
    log.add(['another'], 0);
    expect(log.pageAfter(undefined).sessionIds).toBe(first.sessionIds);
    expect(log.pageAfter(first.end).sessionIds).toBe(second.sessionIds);
    expect(idsAfter(log, second.end)).toEqual([...ids.slice(20), 'another']);
    expect(log.pageAfter({ ...first.end, entry: 13 }).sessionIds).toBe(second.sessionIds);
    expect(idsAfter(log, third.end)).toEqual(['another']);
  });

  it('gives a reader from elsewhere only what it has not read there, also after an old session was announced', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    log.add(['ended long ago'], 0);
    polled(log, 10, [['a', 9]], 1);
    polled(log, 12, [['b', 11]], 2);
    expect(idsAfter(log, { ...log.end, instance: 'elsewhere', xid: 11n })).toEqual(['b']);
  });

  it('compares no transaction ids of two histories: what it knew before is told again', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    polled(log, 4, [['a', 3]]);
    const lost = { revocations: [{ sessionId: 'b', xid: 4n }], epoch: 'other-of-11', completeBeforeXid: 5n };
    expect(log.lostIn(lost)).toEqual(['a']);
    log.addPolled(lost, 0);
    const reader = { ...log.end, instance: 'elsewhere', entry: 0 };
    expect(idsAfter(log, reader)).toEqual(['a', 'b']);
    // Read again in this history, it has an id of this history.
    log.addPolled({ ...lost, revocations: [{ sessionId: 'a', xid: 2n }] }, 0);
    expect(idsAfter(log, reader)).toEqual([]);
  });

  it('misses nothing at its first poll, and nothing in a poll of the same history', () => {
    const log = new RevocationLog('instance', WINDOW_MS);
    log.add(['a'], 0);
    const poll = { revocations: [], epoch: EPOCH, completeBeforeXid: 5n };
    expect(log.lostIn(poll)).toEqual([]);
    log.addPolled(poll, 0);
    expect(log.lostIn(poll)).toEqual([]);
  });

  it('omits nothing that it knows for a reader that comes from another instance', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('begin' as const) }),
      fc.record({ kind: fc.constant('commit' as const), pick: fc.nat(5) }),
      fc.record({ kind: fc.constant('poll' as const), instance: fc.nat(2) }),
      fc.record({ kind: fc.constant('own' as const), instance: fc.nat(2), pick: fc.nat(5) }),
      fc.record({ kind: fc.constant('read' as const), instance: fc.nat(2), isWaiting: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const logs = ['A', 'B', 'C'].map(
          (name) => new RevocationLog(`instanc${name}`, WINDOW_MS, { most: 4, long: 2 }),
        );
        const readFrom = [0n, 0n, 0n];
        const known = logs.map(() => new Set<string>());
        const open: CommittedRevocation[] = [];
        const committed: CommittedRevocation[] = [];
        const reader = new Set<string>();
        let position: LogPosition | undefined;
        let nextXid = 1n;
        const commit = (pick: number): CommittedRevocation | undefined => {
          const [revocation] = open.splice(pick % Math.max(1, open.length), 1);
          return revocation === undefined ? undefined : (committed.push(revocation), revocation);
        };
        for (const each of steps) {
          if (each.kind === 'begin') {
            open.push({ sessionId: `session ${nextXid}`, xid: nextXid });
            nextXid += 1n;
          } else if (each.kind === 'commit') {
            commit(each.pick);
          } else if (each.kind === 'own') {
            const own = commit(each.pick);
            if (own !== undefined) {
              logs[each.instance]!.add([own.sessionId], 0);
              known[each.instance]!.add(own.sessionId);
            }
          } else if (each.kind === 'poll') {
            const xmin = open.reduce((least, { xid }) => (xid < least ? xid : least), nextXid);
            const rows = committed.filter(({ xid }) => xid >= readFrom[each.instance]!);
            logs[each.instance]!.addPolled({ revocations: rows, epoch: EPOCH, completeBeforeXid: xmin }, 0);
            readFrom[each.instance] = xmin;
            committed.forEach(({ sessionId }) => known[each.instance]!.add(sessionId));
          } else {
            const log = logs[each.instance]!;
            const page = log.pageAfter(each.isWaiting && position !== undefined ? log.localise(position) : position);
            expect(idsIn(page).length).toBeLessThanOrEqual(4);
            idsIn(page).forEach((sessionId) => reader.add(sessionId));
            position = parseCursor(formatCursor(page.end));
            if (!page.isLast) {
              continue;
            }
            expect([...known[each.instance]!].filter((sessionId) => !reader.has(sessionId))).toEqual([]);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a cursor', () => {
  const position = { epoch: 'mZx0kQ3u5Xc', xid: 2n ** 63n, instance: 'pVb2Qk9_', entry: 12 };

  it('comes back as the position it was made from', () => {
    expect(parseCursor(formatCursor(position))).toEqual(position);
  });

  it.each(['', '0', 'x', `${formatCursor(position)} `, formatCursor(position).replace('12', '1e3'), 'a.b.c.d', '🙂'])(
    'is not %j',
    (text) => {
      expect(parseCursor(text)).toBeUndefined();
    },
  );
});
