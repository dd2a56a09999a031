import { describe, expect, it } from 'vitest';
import { Signal } from './signal.js';

const LONG_MS = 60_000;

describe('a signal', () => {
  it('wakes every wait and keeps none', async () => {
    const signal = new Signal();
    const waits = [signal.within(LONG_MS), signal.within(LONG_MS)];
    expect(signal.waitingCount).toBe(2);
    signal.tell();
    await Promise.all(waits);
    expect(signal.waitingCount).toBe(0);
  });

  it('wakes so many of the longest waits', async () => {
    const signal = new Signal();
    const [first, second] = [signal.within(LONG_MS), signal.within(LONG_MS)];
    signal.tell(1);
    await first;
    expect(signal.waitingCount).toBe(1);
    signal.tell();
    await second;
  });

  it('does not end a later wait', async () => {
    const signal = new Signal();
    signal.tell();
    const wait = signal.within(LONG_MS);
    expect(signal.waitingCount).toBe(1);
    signal.tell();
    await wait;
  });

  it('keeps no wait whose time is over', async () => {
    const signal = new Signal();
    await signal.within(1);
    expect(signal.waitingCount).toBe(0);
  });

  it('keeps no wait whose client has gone, before or while it waits', async () => {
    const signal = new Signal();
    const client = new AbortController();
    const wait = signal.within(LONG_MS, client.signal);
    client.abort();
    await wait;
    await signal.within(LONG_MS, client.signal);
    expect(signal.waitingCount).toBe(0);
  });
});
