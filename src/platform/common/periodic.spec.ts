import { describe, expect, it } from 'vitest';
import { Periodic } from './periodic.js';

const INTERVAL_MS = 1;

/** Every run waits until the test ends it. */
class Job {
  started = 0;
  ended = 0;
  private end: () => void = () => undefined;
  private begun: () => void = () => undefined;

  readonly run = async (): Promise<void> => {
    this.started += 1;
    this.begun();
    await new Promise<void>((resolve) => (this.end = resolve));
    this.ended += 1;
  };

  nextRun(): Promise<void> {
    return new Promise((resolve) => (this.begun = resolve));
  }

  endRun(): void {
    this.end();
  }
}

/** Resolves when another job of the same interval has run that often. */
function intervals(count: number): Promise<void> {
  return new Promise((resolve) => {
    let runs = 0;
    const metronome = new Periodic(INTERVAL_MS, () => {
      runs += 1;
      if (runs === count) {
        void metronome.stop();
        resolve();
      }
      return Promise.resolve();
    });
    metronome.start();
  });
}

describe('a periodic job', () => {
  it('a job runs again and again, and never twice at a time', async () => {
    const job = new Job();
    const periodic = new Periodic(INTERVAL_MS, job.run);
    const first = job.nextRun();
    periodic.start();
    await first;
    await intervals(20);
    expect(job.started).toBe(1);
    const second = job.nextRun();
    job.endRun();
    await second;
    expect(job).toMatchObject({ started: 2, ended: 1 });
    job.endRun();
    await periodic.stop();
  });

  it('stopping waits for the run in progress, and no run follows', async () => {
    const job = new Job();
    const periodic = new Periodic(INTERVAL_MS, job.run);
    const first = job.nextRun();
    periodic.start();
    await first;
    let hasStopped = false;
    const stopped = periodic.stop().then(() => (hasStopped = true));
    await intervals(20);
    expect(hasStopped).toBe(false);
    job.endRun();
    await stopped;
    await intervals(20);
    expect(job).toMatchObject({ started: 1, ended: 1 });
  });

  it('a job that never started stops at once', async () => {
    await new Periodic(INTERVAL_MS, () => Promise.resolve()).stop();
  });
});
