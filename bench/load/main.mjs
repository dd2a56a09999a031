// The load generator's process: takes orders from the runner and answers with numbers. It runs beside the server on the
// same cores, and says how much of them it took.
import { runClosedLoop } from './closed-loop.mjs';
import { runLoginStorm } from './login-storm.mjs';
import { runOpenLoop } from './open-loop.mjs';
import { Operation } from './operation.mjs';

const LOOPS = { closed: runClosedLoop, open: runOpenLoop, storm: runLoginStorm };

/** Kept between runs: the next run begins with the tokens that the last one ended with. */
const operations = new Map();

const handlers = {
  /** Makes an operation under a name; another of the same name is forgotten. */
  define({ name, spec }) {
    operations.set(name, new Operation(spec));
  },

  forget({ names }) {
    names.forEach((name) => operations.delete(name));
  },

  /** Runs loops at the same time, each with its own operation. */
  async run({ loops }) {
    const before = process.cpuUsage();
    const startedAt = performance.now();
    const results = await Promise.all(
      loops.map(({ kind, operation, ...options }) => LOOPS[kind]({ ...options, operation: operations.get(operation) })),
    );
    const used = process.cpuUsage(before);
    const elapsedSeconds = (performance.now() - startedAt) / 1_000;
    return { results, generatorCores: (used.user + used.system) / 1e6 / elapsedSeconds };
  },
};

process.on('message', async ({ id, order, ...options }) => {
  try {
    process.send({ id, value: await handlers[order](options) });
  } catch (error) {
    process.send({ id, failure: error.stack });
  }
});
process.on('disconnect', () => process.exit());
