import { beforeAll, describe, it } from 'vitest';
import fc from 'fast-check';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { ACCESS_TOKEN_TTL_SECONDS, type Settings } from './support/model/family.model.js';
import { play, type Site } from './support/model/play.js';
import { drafts } from './support/model/turns.js';
import { useDatabase, useInstance } from './support/use-service.js';

const RUNS = Number(process.env['MODEL_RUNS'] ?? 30);
const SEED = process.env['MODEL_SEED'];
/** The path of one run, as a failure prints it: only the shrunk counter-example is tried again. */
const PATH = process.env['MODEL_PATH'];

/** Long before it only on a machine that does next to nothing; what has been shrunk by then is reported as it is. */
const TIME_LIMIT_MS = 60_000 + RUNS * 4_000;

/** Their borders in time are odd multiples of 20 s, which the clock, moved by multiples of 40 s, keeps away from. */
const STRICT: Settings = {
  name: 'strict',
  graceSeconds: 0,
  idleSeconds: 1_020,
  lifetimeSeconds: 2_980,
  rollsForward: true,
  maxSessions: 2,
};
const LENIENT: Settings = {
  name: 'lenient',
  graceSeconds: 60,
  idleSeconds: 500,
  lifetimeSeconds: 1_980,
  rollsForward: false,
  maxSessions: 3,
};

/**
 * Random lives of a few users' sessions, led in the service and in a reference model at the same time: logins,
 * refreshes, retries, replays of any earlier token, logouts, password changes, disabled users, moved clocks, changed
 * settings, restored backups, crowds with one token, on two instances.
 *
 * It finds each of these faults, which `npm run prove:model` puts into a copy of the checkout one by one: no row lock;
 * grace that slides; revocation rolled back with the error; retry key not overwritten; no key history; replay that
 * advances; tombstone cleaned too early.
 */
describe('a family', () => {
  const database = useDatabase();
  const pairs = [STRICT, LENIENT].map((settings): Site['pairs'][number] => ({
    settings,
    instances: [useInstance(database, environmentOf(settings)), useInstance(database, environmentOf(settings))],
  }));
  let site: Site;

  beforeAll(async () => {
    const services = pairs.flatMap(({ instances }) => instances);
    site = { database, pairs, original: await services[0]!.client.signUp() };
    // By itself it would clean up once a minute, and the model would not know.
    await Promise.all(services.map(({ app }) => app.get(TombstoneCleanerService).onApplicationShutdown()));
  });

  it(
    'invariants 1, 2, 3, 4 and 7: answers whatever is done with it as the model does',
    async () => {
      const property = fc.asyncProperty(drafts([STRICT, LENIENT]), (turns) => play(site, turns));
      const result = await fc.check(property, {
        numRuns: RUNS,
        interruptAfterTimeLimit: TIME_LIMIT_MS,
        markInterruptAsFailure: true,
        ...(SEED !== undefined && { seed: Number(SEED) }),
        ...(PATH !== undefined && { path: PATH }),
      });
      if (result.failed) {
        throw new Error(describeFailure(result));
      }
    },
    TIME_LIMIT_MS + 30_000,
  );
});

function describeFailure<T>({
  numRuns,
  numShrinks,
  seed,
  counterexamplePath,
  errorInstance,
}: fc.RunDetails<T>): string {
  if (counterexamplePath === null) {
    return `After ${numRuns} of ${RUNS} runs of seed ${seed} the time was up.`;
  }
  const shrunk = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return [
    `The service and the model part ways in run ${numRuns} of seed ${seed}. Shrunk ${numShrinks} times, this is left of it:`,
    shrunk,
    'To repeat it:',
    `MODEL_SEED=${seed} MODEL_PATH=${counterexamplePath} npm test -- test/family-model.e2e-spec.ts`,
  ].join('\n');
}

function environmentOf(settings: Settings): Readonly<Record<string, string>> {
  return {
    // What it logs at lower levels would be most of the work.
    LOG_LEVEL: 'error',
    ACCESS_TOKEN_TTL_SECONDS: String(ACCESS_TOKEN_TTL_SECONDS),
    REFRESH_GRACE_SECONDS: String(settings.graceSeconds),
    REFRESH_TOKEN_IDLE_TTL_SECONDS: String(settings.idleSeconds),
    REFRESH_TOKEN_TTL_SECONDS: String(settings.lifetimeSeconds),
    REFRESH_ROLL_FORWARD: settings.rollsForward ? 'on' : 'off',
    MAX_SESSIONS_PER_USER: String(settings.maxSessions),
  };
}
