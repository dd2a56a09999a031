import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { Argon2Threads, THREAD_NICENESS } from './argon2-threads.js';

const CHEAP = { memoryCost: 64, timeCost: 1, parallelism: 1 };
const PASSWORD = Buffer.from('correct horse');

let threads = new Argon2Threads();

afterEach(async () => {
  await threads.end();
  threads = new Argon2Threads();
});

/**
 * The nice values of this process's threads by their ids, by proc(5); the name stands in parentheses and may hold
 * anything.
 */
function nicenesses(): Map<string, number> {
  return new Map(
    readdirSync('/proc/self/task').map((id) => {
      const text = readFileSync(`/proc/self/task/${id}/stat`, 'latin1');
      return [id, Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16])];
    }),
  );
}

describe('Argon2Threads', () => {
  it('computes and verifies, several at a time', async () => {
    const hashes = await Promise.all(['a', 'b', 'c'].map((text) => threads.hash(Buffer.from(text), CHEAP)));
    const verdicts = hashes.flatMap((hash) => ['a', 'b', 'c'].map((text) => threads.verify(hash, Buffer.from(text))));
    expect(await Promise.all(verdicts)).toEqual([true, false, false, false, true, false, false, false, true]);
  });

  it('rejects what the library refuses, and goes on', async () => {
    await expect(threads.verify('no hash', PASSWORD)).rejects.toThrow();
    expect(await threads.hash(PASSWORD, CHEAP)).toMatch(/^\$argon2id\$/);
  });

  it('rejects what is being computed when the threads end, and starts others when asked again', async () => {
    const cutShort = expect(threads.hash(PASSWORD, { ...CHEAP, memoryCost: 65_536, timeCost: 20 })).rejects.toThrow(
      'ended before',
    );
    await threads.end();
    await cutShort;
    expect(await threads.hash(PASSWORD, CHEAP)).toMatch(/^\$argon2id\$/);
  });

  const onLinux = process.platform === 'linux' ? it : it.skip;
  onLinux('lets the event loop go first', async () => {
    const before = nicenesses();
    await threads.hash(PASSWORD, CHEAP);
    const added = [...nicenesses()].filter(([id]) => !before.has(id)).map(([, niceness]) => niceness);
    expect(added).toContain(before.get(String(process.pid))! + THREAD_NICENESS);
  });
});
