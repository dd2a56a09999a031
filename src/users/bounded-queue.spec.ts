import { describe, expect, it } from 'vitest';
import { OverloadedError } from '../platform/common/domain.errors.js';
import { BoundedQueue, type WorkOrigin } from './bounded-queue.js';

/** Work that ends when the test says so. */
class Gate {
  private readonly releases: (() => void)[] = [];
  readonly started: string[] = [];

  work(name: string): () => Promise<string> {
    return async () => {
      this.started.push(name);
      await new Promise<void>((resolve) => this.releases.push(resolve));
      return name;
    };
  }

  releaseNext(): void {
    this.releases.shift()?.();
  }
}

const of = (owner: string): WorkOrigin => ({ owner, isAbandoned: () => false });
const ONE = of('one');

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('BoundedQueue', () => {
  it('runs no more than its limit at once and starts the others in the order they came', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 2, maxWaiting: 3 });
    const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => queue.run(ONE, gate.work(name))));
    await settle();
    expect(gate.started).toEqual(['a', 'b']);
    gate.releaseNext();
    await settle();
    expect(gate.started).toEqual(['a', 'b', 'c']);
    for (let left = 0; left < 4; left += 1) {
      gate.releaseNext();
      await settle();
    }
    expect(await results).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('refuses at once what finds the queue full, without calling it', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 1 });
    const admitted = Promise.all([queue.run(ONE, gate.work('running')), queue.run(ONE, gate.work('waiting'))]);
    await expect(queue.run(ONE, gate.work('refused'))).rejects.toBeInstanceOf(OverloadedError);
    expect(() => {
      queue.requireRoom('one');
    }).toThrow(OverloadedError);
    gate.releaseNext();
    await settle();
    gate.releaseNext();
    expect(await admitted).toEqual(['running', 'waiting']);
    expect(gate.started).toEqual(['running', 'waiting']);
    expect(() => {
      queue.requireRoom('one');
    }).not.toThrow();
  });

  it('gives the slot of failed work to the next', async () => {
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 1 });
    const failing = queue.run(ONE, () => Promise.reject(new Error('broken')));
    const next = queue.run(ONE, () => Promise.resolve('done'));
    await expect(failing).rejects.toThrow('broken');
    expect(await next).toBe('done');
    expect(await queue.run(ONE, () => Promise.resolve('again'))).toBe('again');
  });

  it('lets owners take turns, so that one with much work does not delay the others', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 10 });
    const names = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2'];
    const results = Promise.all(names.map((name) => queue.run(of(name.charAt(0)), gate.work(name))));
    for (let left = names.length; left > 0; left -= 1) {
      await settle();
      gate.releaseNext();
    }
    await results;
    expect(gate.started).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  });

  it('makes room in a full queue at the cost of the owner who has most in it', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 3 });
    const running = queue.run(of('a'), gate.work('a1'));
    const waiting = ['a2', 'a3', 'a4'].map((name) => queue.run(of('a'), gate.work(name)));
    queue.requireRoom('b');
    expect(() => {
      queue.requireRoom('a');
    }).toThrow(OverloadedError);
    const other = queue.run(of('b'), gate.work('b1'));
    await expect(waiting[2]).rejects.toBeInstanceOf(OverloadedError);
    for (let left = 4; left > 0; left -= 1) {
      await settle();
      gate.releaseNext();
    }
    await Promise.all([running, waiting[0], waiting[1], other]);
    expect(gate.started).toEqual(['a1', 'a2', 'b1', 'a3']);
    expect(queue.waitingCount).toBe(0);
  });

  it('drops work that no one waits for any more when its turn comes, and goes on with the next', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 3 });
    const first = queue.run(ONE, gate.work('first'));
    const gone = queue.run({ owner: 'one', isAbandoned: () => true }, gate.work('gone'));
    const last = queue.run(ONE, gate.work('last'));
    const refused = expect(gone).rejects.toBeInstanceOf(OverloadedError);
    await settle();
    gate.releaseNext();
    await refused;
    await settle();
    gate.releaseNext();
    expect(await Promise.all([first, last])).toEqual(['first', 'last']);
    expect(gate.started).toEqual(['first', 'last']);
  });
});
