import { describe, expect, it } from 'vitest';
import { Signal } from './signal.js';

const LONG_MS = 60_000;

describe('a signal', () => {
  it('wakes all who wait, and lets go of them', async () => {
    const signal = new Signal();
    const waits = [signal.within(LONG_MS), signal.within(LONG_MS)];
    expect(signal.waitingCount).toBe(2);
    signal.tell();
    await Promise.all(waits);
    expect(signal.waitingCount).toBe(0);
  });

  it('is not for those who come later', async () => {
    const signal = new Signal();
    signal.tell();
    const wait = signal.within(LONG_MS);
    expect(signal.waitingCount).toBe(1);
    signal.tell();
    await wait;
  });

  it('lets go of who has waited long enough', async () => {
    const signal = new Signal();
    await signal.within(1);
    expect(signal.waitingCount).toBe(0);
  });

  it('lets go of who has gone, before or while waiting', async () => {
    const signal = new Signal();
    const client = new AbortController();
    const wait = signal.within(LONG_MS, client.signal);
    client.abort();
    await wait;
    await signal.within(LONG_MS, client.signal);
    expect(signal.waitingCount).toBe(0);
  });
});
