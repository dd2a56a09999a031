import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { AnnouncementRelay, type WorkerLine } from './announcement-relay.js';
import type { ToWorker } from './messages.js';

const SHORT_MS = 20;

class FakeLine implements WorkerLine {
  readonly received: ToWorker[] = [];

  send(message: ToWorker): void {
    this.received.push(message);
  }
}

describe('AnnouncementRelay', () => {
  let late: WorkerLine[];
  let relay: AnnouncementRelay;
  let [first, second, third]: [FakeLine, FakeLine, FakeLine] = [new FakeLine(), new FakeLine(), new FakeLine()];

  beforeEach(() => {
    // Deadlines that an earlier test left behind report to that test.
    const own: WorkerLine[] = [];
    late = own;
    relay = new AnnouncementRelay((line) => own.push(line), SHORT_MS);
    [first, second, third] = [new FakeLine(), new FakeLine(), new FakeLine()];
    for (const line of [first, second, third]) {
      relay.connect(line);
      relay.join(line);
    }
  });

  it('tells all others, and whoever announces only when the last of them has heard', () => {
    relay.announce(first, 7, ['a', 'b']);
    const ended = { kind: 'ended', round: 1, sessionIds: ['a', 'b'] };
    expect([second.received, third.received]).toEqual([[ended], [ended]]);
    relay.heard(third, 1);
    expect(first.received).toEqual([]);
    relay.heard(second, 1);
    expect(first.received).toEqual([{ kind: 'told', announcement: 7 }]);
  });

  it('keeps announcements apart that are under way at the same time', () => {
    relay.disconnect(third);
    relay.announce(first, 1, ['a']);
    relay.announce(second, 1, ['b']);
    relay.heard(first, 2);
    expect([first.received.slice(1), second.received.slice(1)]).toEqual([[], [{ kind: 'told', announcement: 1 }]]);
  });

  it('tells a worker that has not joined, and does not wait for it', () => {
    const starting = new FakeLine();
    relay.connect(starting);
    relay.announce(first, 1, ['a']);
    relay.heard(second, 1);
    relay.heard(third, 1);
    expect(starting.received).toHaveLength(1);
    expect(first.received).toEqual([{ kind: 'told', announcement: 1 }]);
  });

  it('waits no more for a worker that has ended', () => {
    relay.announce(first, 1, ['a']);
    relay.heard(second, 1);
    relay.disconnect(third);
    expect(first.received).toEqual([{ kind: 'told', announcement: 1 }]);
  });

  it('answers a worker that is alone at once', () => {
    relay.disconnect(second);
    relay.disconnect(third);
    relay.announce(first, 1, ['a']);
    expect(first.received).toEqual([{ kind: 'told', announcement: 1 }]);
  });

  it('waits for a worker that hangs once, and again only when it has answered', async () => {
    relay.announce(first, 1, ['a']);
    relay.heard(second, 1);
    await pause(2 * SHORT_MS);
    expect(first.received).toEqual([{ kind: 'told', announcement: 1 }]);
    expect(late).toEqual([third]);

    relay.announce(first, 2, ['b']);
    relay.heard(second, 2);
    expect(first.received).toContainEqual({ kind: 'told', announcement: 2 });

    relay.heard(third, 1);
    relay.announce(first, 3, ['c']);
    relay.heard(second, 3);
    expect(first.received).not.toContainEqual({ kind: 'told', announcement: 3 });
    relay.heard(third, 3);
    expect(first.received).toContainEqual({ kind: 'told', announcement: 3 });
    expect(late).toEqual([third]);
  });
});
