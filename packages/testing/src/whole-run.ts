import { type StartedRatchet, startRatchet } from './start-ratchet.js';

let started: StartedRatchet | undefined;

/** Starts a runner for a whole run of tests, unless `RATCHET_TEST_URL` says that there is one. */
export async function beginRun(): Promise<void> {
  if (process.env['RATCHET_TEST_URL'] === undefined) {
    started = await startRatchet();
  }
}

/** Stops the runner that `beginRun` has started. */
export async function endRun(): Promise<void> {
  await started?.stop();
  started = undefined;
}
