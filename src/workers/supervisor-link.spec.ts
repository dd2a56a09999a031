import { beforeEach, describe, expect, it } from '@jest/globals';
import type { FromWorker, ToWorker } from './messages.js';
import { type ParentProcess, SupervisorLink } from './supervisor-link.js';

const SHORT_MS = 20;

class FakeParent implements ParentProcess {
  connected = true;
  readonly sent: FromWorker[] = [];
  private listener: (message: ToWorker) => void = () => undefined;

  on(_event: 'message', listener: (message: ToWorker) => void): void {
    this.listener = listener;
  }

  send(message: FromWorker, _handle: undefined, _options: object, callback: (error: Error | null) => void): boolean {
    this.sent.push(message);
    callback(null);
    return true;
  }

  tell(message: ToWorker): void {
    this.listener(message);
  }
}

describe('SupervisorLink', () => {
  let parent: FakeParent;
  let link: SupervisorLink;

  beforeEach(() => {
    parent = new FakeParent();
    link = new SupervisorLink(parent, SHORT_MS);
  });

  it('asks for its work as soon as it listens, because what came before would be lost', async () => {
    expect(parent.sent).toEqual([{ kind: 'started' }]);
    const address = { url: 'postgres://a/b', directUrl: 'postgres://a/b' };
    parent.tell({ kind: 'serve', number: 2, address });
    expect(await link.assignment).toEqual({ number: 2, address });
  });

  it('says that it has heard only when its own process knows', () => {
    const known: string[] = [];
    link.join((sessionIds) => {
      expect(parent.sent).not.toContainEqual({ kind: 'heard', round: 4 });
      known.push(...sessionIds);
    });
    parent.tell({ kind: 'ended', round: 4, sessionIds: ['a', 'b'] });
    expect(known).toEqual(['a', 'b']);
    expect(parent.sent).toContainEqual({ kind: 'heard', round: 4 });
  });

  it('holds an announcement back until its siblings have been told', async () => {
    const order: string[] = [];
    const first = link.announce(['a']).then(() => order.push('first'));
    const second = link.announce(['b']).then(() => order.push('second'));
    parent.tell({ kind: 'told', announcement: 2 });
    await second;
    parent.tell({ kind: 'told', announcement: 1 });
    await first;
    expect(order).toEqual(['second', 'first']);
    expect(parent.sent.slice(1)).toEqual([
      { kind: 'announce', announcement: 1, sessionIds: ['a'] },
      { kind: 'announce', announcement: 2, sessionIds: ['b'] },
    ]);
  });

  it('says nothing where nothing has ended', async () => {
    await link.announce([]);
    expect(parent.sent).toEqual([{ kind: 'started' }]);
  });

  it('does not wait for ever for a supervisor that does not answer, or has gone', async () => {
    await link.announce(['a']);
    parent.connected = false;
    await link.announce(['b']);
    expect(parent.sent).toHaveLength(2);
  });
});
