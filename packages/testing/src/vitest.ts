// For `globalSetup` of Vitest. Tests in a browser, which has no environment, get the addresses by `inject('ratchet')`.
import { beginRun, endRun } from './whole-run.js';

/** The part of Vitest's `TestProject` that is used. */
interface Project {
  provide(key: string, value: unknown): void;
}

async function setUp(project: Project): Promise<() => Promise<void>> {
  await beginRun();
  const { RATCHET_URL, RATCHET_TEST_URL, JWT_ISSUER, JWT_AUDIENCE } = process.env;
  project.provide('ratchet', {
    url: RATCHET_URL,
    testUrl: RATCHET_TEST_URL,
    issuer: JWT_ISSUER,
    audience: JWT_AUDIENCE,
  });
  return endRun;
}

export = setUp;
