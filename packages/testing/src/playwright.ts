// For `globalSetup` of Playwright, which calls what it returns as the tear-down.
import { beginRun, endRun } from './whole-run.js';

async function setUp(): Promise<() => Promise<void>> {
  await beginRun();
  return endRun;
}

export = setUp;
