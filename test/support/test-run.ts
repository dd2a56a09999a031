/** What the global set-up leaves for the workers. */
export interface TestRun {
  readonly serverUrl: string;
  /** The same server, as a role that may make roles. */
  readonly adminUrl: string;
  /** Name of the migrated template, and prefix of every database of this run. */
  readonly template: string;
  /** Of an embedded PostgreSQL that has been started once; `copyDataDir` copies it. */
  readonly initialisedDataDir: string;
  readonly runDir: string;
}

export function testRun(): TestRun {
  return JSON.parse(process.env['RATCHET_TEST_RUN'] ?? '') as TestRun;
}
