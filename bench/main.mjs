// Measures Ratchet, alternatives to it, and the limits of the machine. See README.md.
// Usage: npm run bench -- [--quick] [--only throughput,storm,growth,soak,hostile] [--targets ratchet,oidc-provider]
//   [--repetitions 3] [--minutes 10] [--ratchet-env NAME=VALUE]... [--profile folder] [--out name]
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BENCH, Bench, ROOT } from './run/bench.mjs';
import { drawChart } from './run/chart.mjs';
import { measureGrowth } from './run/growth.mjs';
import { measureHostile } from './run/hostile.mjs';
import { describeMachine, describeSources } from './run/machine.mjs';
import { namesOf, readOptions, wholeNumber } from './run/options.mjs';
import { renderReport } from './run/report.mjs';
import { SCALES } from './run/scale.mjs';
import { ServerProcess } from './run/server-process.mjs';
import { measureSoak } from './run/soak.mjs';
import { measureStorm } from './run/storm.mjs';
import { measureThroughput, TARGET_NAMES } from './run/throughput.mjs';

const WHOLE = 'throughput,storm,growth';

const values = readOptions({
  quick: { type: 'boolean', default: false },
  only: { type: 'string', default: WHOLE },
  targets: { type: 'string' },
  repetitions: { type: 'string' },
  minutes: { type: 'string', default: '10' },
  'ratchet-env': { type: 'string', multiple: true, default: [] },
  profile: { type: 'string' },
  out: { type: 'string' },
});
const parts = namesOf('only', values.only, [...WHOLE.split(','), 'soak', 'hostile']);
const targets = values.targets === undefined ? undefined : namesOf('targets', values.targets, TARGET_NAMES);
const minutes = wholeNumber('minutes', values.minutes);
const scale = { ...SCALES[values.quick ? 'quick' : 'full'] };
if (values.repetitions !== undefined) {
  scale.repetitions = wholeNumber('repetitions', values.repetitions);
}

/** Compiles the peer that is written in TypeScript. */
function compilePeers() {
  const args = [join(BENCH, 'node_modules/typescript/bin/tsc'), '-p', join(BENCH, 'peers/nest-typeorm')];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) {
    throw new Error('the Nest peer does not compile');
  }
}

if (parts.includes('throughput')) {
  compilePeers();
}
const startedAt = performance.now();
const seconds = () => Math.round((performance.now() - startedAt) / 1_000);
const bench = await Bench.open({
  scale,
  ratchetEnv: Object.fromEntries(values['ratchet-env'].map((pair) => pair.split(/=(.*)/s, 2))),
  nodeArgs: values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(values.profile)}`],
  report: (line) => console.error(`[${String(seconds()).padStart(4)} s] ${line}`),
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    console.error('interrupted: stopping the servers…');
    ServerProcess.stopAll()
      .then(() => bench.close())
      .finally(() => process.exit(1));
  });
}
const results = {
  command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
  startedAt: new Date().toISOString(),
  machine: describeMachine(bench.dataDir),
  sources: describeSources(ROOT),
  postgres: { version: await bench.server.version(), settings: await bench.server.settings() },
  scale,
  ratchetEnvironment: bench.ratchetEnv,
};
try {
  if (parts.includes('throughput')) {
    results.throughput = await measureThroughput(bench, targets);
  }
  if (parts.includes('storm')) {
    results.storm = await measureStorm(bench);
  }
  if (parts.includes('growth')) {
    results.growth = await measureGrowth(bench);
  }
  if (parts.includes('soak')) {
    results.soak = await measureSoak(bench, minutes);
  }
  if (parts.includes('hostile')) {
    results.hostile = await measureHostile(bench);
  }
} finally {
  await bench.close();
}
results.tookSeconds = seconds();

const isWhole = !values.quick && targets === undefined && values.only === WHOLE;
const name = values.out ?? (isWhole ? 'latest' : 'partial');
const folder = join(BENCH, 'results');
mkdirSync(folder, { recursive: true });
const report = renderReport(results);
writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(results, undefined, 2)}\n`);
writeFileSync(join(folder, `${name}.md`), report);
if (results.throughput !== undefined) {
  writeFileSync(join(folder, `${name}.svg`), drawChart(results));
}
console.log(report);
console.error(`written to bench/results/${name}.*`);
