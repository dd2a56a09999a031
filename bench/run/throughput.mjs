import { KNEE_SHARE } from './scale.mjs';
import { HttpConnection } from '../load/http-connection.mjs';
import { Operation } from '../load/operation.mjs';
import { Ratchet } from './ratchet.mjs';
import { TARGETS } from './targets.mjs';

const PROGRAMS = [
  {
    name: 'limit-rotation-single',
    title: 'limit: the rotation statement alone, 32 connections',
    operation: 'refresh',
    measure: (bench, rotation) => measureRotation(bench, rotation, { MODE: 'single', IN_FLIGHT: '32' }),
  },
  {
    name: 'limit-rotation-set-32',
    title: 'limit: the set-based statement alone, 32 in flight',
    operation: 'refresh',
    measure: (bench, rotation) => measureRotation(bench, rotation, { MODE: 'set', IN_FLIGHT: '32' }),
  },
  {
    name: 'limit-rotation-set-64',
    title: 'limit: the set-based statement alone, 64 in flight',
    operation: 'refresh',
    measure: (bench, rotation) => measureRotation(bench, rotation, { MODE: 'set', IN_FLIGHT: '64' }),
  },
  {
    name: 'limit-argon2',
    title: 'limit: Argon2id alone, all cores',
    operation: 'login',
    measure: (bench) => runLimit(bench, 'limits/argon2.mjs', {}),
  },
];

export const TARGET_NAMES = [...TARGETS, ...PROGRAMS].map(({ name }) => name);

/**
 * Measures every target's operations, repeatedly: closed loop for the highest rate, then open loop at half of the rate
 * just found. Each repetition starts every server afresh and takes them in another order, so that what drifts on the
 * machine meets all of them.
 *
 * @param names of the targets wanted; without, all of the scale
 * @returns measurements, one per target, operation and repetition
 */
export async function measureThroughput(bench, names) {
  const isWanted = ({ name }) => names?.includes(name) ?? !bench.scale.without.includes(name);
  const targets = [];
  for (const target of TARGETS.filter(isWanted)) {
    bench.report(`preparing ${target.title}`);
    targets.push({ ...target, ...(await target.prepare(bench)) });
  }
  const programs = PROGRAMS.filter(isWanted);
  const rotation = programs.some(({ operation }) => operation === 'refresh') && (await prepareRotation(bench));
  for (const { name, operations } of targets) {
    for (const [operation, { spec }] of Object.entries(operations)) {
      await bench.generator.define(`${name} ${operation}`, spec);
    }
  }

  const measurements = [];
  const units = [
    ...targets.map((target) => (repetition) => measureTarget(bench, target, repetition)),
    ...programs.map((program) => async () => {
      bench.report(program.title);
      const { rate } = await program.measure(bench, rotation);
      return [{ target: program.name, title: program.title, isLimit: true, operation: program.operation, rate }];
    }),
  ];
  for (let repetition = 0; repetition < bench.scale.repetitions; repetition += 1) {
    const first = Math.floor((repetition * units.length) / bench.scale.repetitions);
    for (const unit of [...units.slice(first), ...units.slice(0, first)]) {
      await bench.server.checkpoint();
      measurements.push(...(await unit(repetition)).map((measurement) => ({ repetition, ...measurement })));
    }
  }
  const costs = [];
  for (const target of targets.filter(({ operations }) => operations.refresh?.open === true)) {
    costs.push(await measureRefreshCost(bench, target));
  }
  await bench.generator.forget(
    targets.flatMap(({ name, operations }) => Object.keys(operations).map((operation) => `${name} ${operation}`)),
  );
  return { measurements, costs };
}

async function measureTarget(bench, target, repetition) {
  const startedAt = performance.now();
  const server = await target.start();
  try {
    const coldStartMs = target.login && (await firstToken(target, startedAt));
    const measurements = [];
    for (const [operation, { spec, open, isFirstSight }] of Object.entries(target.operations)) {
      bench.report(`${target.title}: ${operation}`);
      const mostRequests = isFirstSight === true ? spec.credentials.length : undefined;
      const options = { server, open, mostRequests, seed: repetition + 1 };
      measurements.push(await measureOperation(bench, target, operation, options));
    }
    const residentBytes = server.usage()?.residentBytes;
    return measurements.map((measurement, index) => ({
      ...measurement,
      ...(index === 0 && { coldStartMs }),
      residentBytesAtEnd: residentBytes,
    }));
  } finally {
    await server.stop();
  }
}

/** @param mostRequests to be measured from the first one on; without, there is a warm-up */
async function measureOperation(bench, target, operation, { server, open, mostRequests, seed }) {
  const { scale, generator } = bench;
  const loop = { operation: `${target.name} ${operation}`, port: target.port };
  const closed = { ...loop, kind: 'closed', connections: scale.connections };
  if (mostRequests === undefined) {
    await generator.run([{ ...closed, seconds: scale.warmUpSeconds }]);
  }
  const before = { server: server.usage(), postgres: bench.postgresUsage() };
  const { results, generatorCores } = await generator.run([{ ...closed, seconds: scale.closedSeconds, mostRequests }]);
  const after = { server: server.usage(), postgres: bench.postgresUsage() };
  const [{ rate, count, latencyMs, errors }] = results;
  const cpuMsPerOperation = (which) =>
    before[which] && ((after[which].cpuSeconds - before[which].cpuSeconds) * 1_000) / count;
  const measurement = {
    target: target.name,
    title: target.title,
    isLimit: target.isLimit === true,
    operation,
    rate,
    closedLatencyMs: latencyMs,
    errors,
    generatorCores,
    serverCpuMs: cpuMsPerOperation('server'),
    postgresCpuMs: cpuMsPerOperation('postgres'),
    residentBytes: after.server?.residentBytes,
  };
  if (!open || rate === 0) {
    return measurement;
  }
  const openRun = await generator.run([
    { ...loop, kind: 'open', rate: rate * KNEE_SHARE, ignoreSeconds: 0.5, seconds: scale.openSeconds, seed },
  ]);
  return { ...measurement, open: openRun.results[0] };
}

/**
 * Counts, without timing, what one refresh costs the database. Rows are counted over the server's whole life, because
 * its connections report them when they end; statements and WAL in a run of their own.
 */
async function measureRefreshCost(bench, target) {
  bench.report(`${target.title}: cost of a refresh`);
  const { scale, generator, server: postgres } = bench;
  const loop = { kind: 'closed', operation: `${target.name} refresh`, port: target.port };
  const closed = { ...loop, connections: scale.connections };
  const rowsBefore = await postgres.rowChanges(target.database);
  const server = await target.start();
  let counted;
  let refreshes = 0;
  let total = 0;
  try {
    const warmUp = await generator.run([{ ...closed, seconds: scale.warmUpSeconds }]);
    await postgres.checkpoint();
    counted = await postgres.countStatements(target.database, async () => {
      const { results } = await generator.run([{ ...closed, seconds: scale.closedSeconds }]);
      refreshes = results[0].answered;
    });
    total = refreshes + warmUp.results[0].answered;
  } finally {
    await server.stop();
  }
  const rowsAfter = await postgres.rowChanges(target.database);
  const changed = (kind) => rowsAfter[kind] - rowsBefore[kind];
  return {
    target: target.name,
    title: target.title,
    refreshes,
    statementsPerRefresh: counted.statements / refreshes,
    writingTransactionsPerRefresh: counted.writingTransactions / refreshes,
    walBytesPerRefresh: counted.walBytes / refreshes,
    rowsInsertedPerRefresh: changed('inserted') / total,
    rowsUpdatedPerRefresh: changed('updated') / total,
    hotShare: changed('updated') === 0 ? undefined : changed('updated_hot') / changed('updated'),
    byStatement: counted.byStatement,
  };
}

/** @returns milliseconds from the start of the process to the first token it has handed out */
async function firstToken(target, startedAt) {
  const login = new Operation(target.login);
  const connection = new HttpConnection(target.port);
  const answer = await connection.request(login.requestOf(login.takeClient()));
  connection.close();
  return answer.status === 200 ? performance.now() - startedAt : undefined;
}

async function prepareRotation(bench) {
  const { rows } = bench.scale;
  return Ratchet.createDatabase(bench, 'bench_rotation', { users: rows, families: rows });
}

function measureRotation(bench, databaseUrl, env) {
  const { rows } = bench.scale;
  return runLimit(bench, 'limits/rotation-statement.mjs', {
    ...bench.ratchetEnvironment(databaseUrl),
    FAMILIES: String(rows),
    ...env,
  });
}

async function runLimit(bench, program, env) {
  return JSON.parse(await bench.runProgram(program, { ...env, SECONDS: String(bench.scale.limitSeconds) }));
}
