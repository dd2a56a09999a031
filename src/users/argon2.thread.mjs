// A thread of `argon2-threads.ts`: computes one Argon2id hash at a time. Plain JavaScript, because tests start it from
// here.
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { hashSync, verifySync } from '@node-rs/argon2';

// On Linux a priority is the calling thread's own; elsewhere it would be that of the event loop, too.
if (process.platform === 'linux') {
  // Never above the priority of the process: that would take a privilege.
  setPriority(Math.min(getPriority() + workerData.niceness, constants.priority.PRIORITY_LOW));
}

const operations = { hash: hashSync, verify: verifySync };

parentPort.on('message', ({ operation, parameters }) => {
  try {
    parentPort.postMessage({ value: operations[operation](...parameters) });
  } catch (error) {
    parentPort.postMessage({ failure: error instanceof Error ? error.message : String(error) });
  }
});
