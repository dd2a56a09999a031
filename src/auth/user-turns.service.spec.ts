import { describe, expect, it } from 'vitest';
import { UserTurnsService } from './user-turns.service.js';

/** Work that ends when the test says so. */
class Work {
  begun = 0;
  private readonly ends: (() => void)[] = [];

  readonly run = async (): Promise<void> => {
    this.begun += 1;
    await new Promise<void>((resolve) => this.ends.push(resolve));
  };

  end(): void {
    this.ends.splice(0).forEach((end) => {
      end();
    });
  }
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('UserTurnsService', () => {
  it('runs two pieces of work of a user at a time, and those of another user beside them', async () => {
    const turns = new UserTurnsService();
    const [own, other] = [new Work(), new Work()];
    const calls = [1, 2, 3, 4, 5].map(() => turns.run('one', own.run));
    calls.push(turns.run('other', other.run));
    await settle();
    expect([own.begun, other.begun]).toEqual([2, 1]);
    own.end();
    await settle();
    expect(own.begun).toBe(4);
    own.end();
    await settle();
    own.end();
    other.end();
    await Promise.all(calls);
    expect(own.begun).toBe(5);
  });

  it('gives the turn of failed work to the next', async () => {
    const turns = new UserTurnsService();
    const fail = (): Promise<never> => Promise.reject(new Error('broken'));
    const results = await Promise.allSettled([1, 2, 3, 4].map(() => turns.run('one', fail)));
    expect(results.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(await turns.run('one', () => Promise.resolve('done'))).toBe('done');
  });

  it('lets calls share a run that has not begun, and none that has', async () => {
    const turns = new UserTurnsService();
    const work = new Work();
    const call = (): Promise<void> => turns.share('end all of one', 'one', work.run);
    const calls = Array.from({ length: 100 }, call);
    await settle();
    expect(work.begun).toBe(1);
    calls.push(...Array.from({ length: 100 }, call));
    await settle();
    expect(work.begun).toBe(2);
    calls.push(...Array.from({ length: 100 }, call));
    await settle();
    expect(work.begun).toBe(2);
    work.end();
    await settle();
    expect(work.begun).toBe(3);
    work.end();
    await Promise.all(calls);
  });
});
