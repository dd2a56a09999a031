import { isTombstone } from '../ratchet/fill-database.mjs';
import { median } from './statistics.mjs';
import { Ratchet } from './ratchet.mjs';

/** A steady rate well below the service's highest, so that the clean-up is the only difference. */
const REFRESH_RATE_DURING_CLEAN_UP = 500;

/**
 * Measures the same operations over few and over many users and families, in turns, and the clean-up, which has a tenth
 * of the families to delete, under a steady load of refreshes.
 */
export async function measureGrowth(bench) {
  const { growth, repetitions } = bench.scale;
  const places = [];
  for (const size of growth.sizes) {
    bench.report(`filling a database with ${size} users and families`);
    const startedAt = performance.now();
    const name = `bench_growth_${size}`;
    const url = await Ratchet.createDatabase(bench, name, { users: size, families: size, withTombstones: true });
    const seedSeconds = (performance.now() - startedAt) / 1_000;
    places.push({ size, seedSeconds, name, url, ratchet: await Ratchet.create(bench, name, url), runs: [] });
  }
  await bench.server.checkpoint();

  for (const { name, size, ratchet } of places) {
    const sample = spreadSample(size, growth.sampleSize);
    const [forRefresh, forList] = [sample.slice(200), sample.slice(0, 200)];
    const server = await ratchet.start();
    const pairs = await ratchet.mintPairs(forList).finally(() => server.stop());
    const { generator } = bench;
    await generator.define(`${name} list`, ratchet.listSessions(pairs.map(({ accessToken }) => accessToken)));
    await generator.define(
      `${name} refresh`,
      ratchet.refresh(forRefresh.map((index) => ratchet.sessions.refreshToken(index))),
    );
  }
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    for (const place of repetition % 2 === 0 ? places : [...places].reverse()) {
      bench.report(`${place.size} families: refresh, session list, look-up`);
      place.runs.push(await measurePlace(bench, place));
    }
  }
  const results = [];
  for (const place of places) {
    bench.report(`${place.size} families: clean-up`);
    const cleanUp = await measureCleanUp(bench, place);
    const { size, seedSeconds, runs } = place;
    results.push({ size, seedSeconds, runs, refreshRate: median(runs.map(({ refresh }) => refresh.rate)), cleanUp });
  }
  await bench.generator.forget(places.flatMap(({ name }) => [`${name} list`, `${name} refresh`]));
  return results;
}

async function measurePlace(bench, { name, size, url, ratchet }) {
  const { scale, generator, server: postgres } = bench;
  const { seconds } = scale.growth;
  await postgres.checkpoint();
  const server = await ratchet.start();
  try {
    const closed = { kind: 'closed', port: ratchet.port, connections: scale.connections };
    const run = async (operation, runSeconds) => {
      const { results } = await generator.run([{ ...closed, operation: `${name} ${operation}`, seconds: runSeconds }]);
      return results[0];
    };
    await run('refresh', scale.warmUpSeconds);
    const refresh = await run('refresh', seconds);
    const list = await run('list', seconds);
    const lookUp = await runLookUp(bench, url, size);
    return { refresh, list, lookUp };
  } finally {
    await server.stop();
  }
}

async function runLookUp(bench, url, users) {
  const env = { ...bench.ratchetEnvironment(url), USERS: String(users), SECONDS: String(bench.scale.growth.seconds) };
  return JSON.parse(await bench.runProgram('ratchet/look-up.mjs', env));
}

/**
 * Measures the latency of refreshes at a steady rate, first alone and then with the clean-up beside it from the first
 * moment.
 */
async function measureCleanUp(bench, { name, url, ratchet }) {
  const { generator, scale } = bench;
  const server = await ratchet.start();
  try {
    const load = {
      kind: 'open',
      operation: `${name} refresh`,
      port: ratchet.port,
      rate: REFRESH_RATE_DURING_CLEAN_UP,
      ignoreSeconds: 1,
      seconds: scale.growth.cleanUpSeconds,
    };
    const without = await generator.run([load]);
    const [withCleanUp, output] = await Promise.all([
      generator.run([load]),
      bench.runProgram('ratchet/clean-up.mjs', bench.ratchetEnvironment(url)),
    ]);
    return { ...JSON.parse(output), without: without.results[0], during: withCleanUp.results[0] };
  } finally {
    await server.stop();
  }
}

/** Families from all over the table, and none that the clean-up deletes. */
function spreadSample(size, sampleSize) {
  const live = Array.from({ length: size }, (_, index) => index).filter((index) => !isTombstone(index, true));
  const step = Math.max(1, live.length / sampleSize);
  return Array.from({ length: Math.min(sampleSize, live.length) }, (_, index) => live[Math.floor(index * step)]);
}
