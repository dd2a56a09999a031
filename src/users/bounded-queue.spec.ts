import { describe, expect, it } from 'vitest';
import { OverloadedError } from '../platform/common/domain.errors.js';
import { BoundedQueue } from './bounded-queue.js';

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

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('BoundedQueue', () => {
  it('runs no more than its limit at once and starts the others in the order they came', async () => {
    const gate = new Gate();
    const queue = new BoundedQueue({ maxRunning: 2, maxWaiting: 3 });
    const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => queue.run(gate.work(name))));
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
    const admitted = Promise.all([queue.run(gate.work('running')), queue.run(gate.work('waiting'))]);
    await expect(queue.run(gate.work('refused'))).rejects.toBeInstanceOf(OverloadedError);
    expect(() => {
      queue.requireRoom();
    }).toThrow(OverloadedError);
    gate.releaseNext();
    await settle();
    gate.releaseNext();
    expect(await admitted).toEqual(['running', 'waiting']);
    expect(gate.started).toEqual(['running', 'waiting']);
    expect(() => {
      queue.requireRoom();
    }).not.toThrow();
  });

  it('gives the slot of failed work to the next', async () => {
    const queue = new BoundedQueue({ maxRunning: 1, maxWaiting: 1 });
    const failing = queue.run(() => Promise.reject(new Error('broken')));
    const next = queue.run(() => Promise.resolve('done'));
    await expect(failing).rejects.toThrow('broken');
    expect(await next).toBe('done');
    expect(await queue.run(() => Promise.resolve('again'))).toBe('again');
  });
});
