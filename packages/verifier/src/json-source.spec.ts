import { describe, expect, it } from 'vitest';
import { getJson } from './json-source.js';
import { processRuntime } from './runtime.js';

describe('an answer of the service', () => {
  it('is read up to the limit, and what follows is not waited for', async () => {
    let pieces = 0;
    let isAborted = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        pieces += 1;
        yield await Promise.resolve(Buffer.alloc(1_000));
      }
    }
    const runtime = processRuntime((_url, { signal }) => {
      signal.addEventListener('abort', () => {
        isAborted = true;
      });
      return Promise.resolve({ status: 200, headers: new Headers(), body: endless(), text: () => Promise.resolve('') });
    });
    const read = getJson(runtime, 'http://auth', {
      timeoutMs: 3_000,
      mostBytes: 10_000,
      closing: new AbortController().signal,
    });
    await expect(read).rejects.toThrow('an answer of more than 10000 bytes');
    expect([pieces, isAborted]).toEqual([11, true]);
  });
});
