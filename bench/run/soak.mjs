import { shuffled } from '../load/random.mjs';
import { range } from './range.mjs';
import { Ratchet } from './ratchet.mjs';
import { median } from './statistics.mjs';

/** About a quarter of what two cores can do: enough to fill every queue and cache, and it leaves the machine usable. */
const VERIFY_RATE = 1_000;
const REFRESH_RATE = 300;
const LOGIN_RATE = 10;

const SLICE_SECONDS = 10;

/**
 * Runs a steady mixed load for minutes and samples the memory of the service.
 *
 * @returns samples every ten seconds, and the growth from the second tenth of the time to the last
 */
export async function measureSoak(bench, minutes) {
  const { rows } = bench.scale;
  const url = await Ratchet.createDatabase(bench, 'bench_soak', { users: rows, families: rows });
  const ratchet = await Ratchet.create(bench, 'ratchet-soak', url);
  const server = await ratchet.start();
  const { generator } = bench;
  const samples = [];
  try {
    const { port } = ratchet;
    const pairs = await ratchet.mintPairs(shuffled(range(rows)));
    await generator.define('soak verify', ratchet.verify(pairs.map(({ accessToken }) => accessToken)));
    await generator.define('soak refresh', ratchet.refresh(pairs.map(({ refreshToken }) => refreshToken)));
    await generator.define('soak login', ratchet.login(rows));
    const slices = Math.max(10, Math.round((minutes * 60) / SLICE_SECONDS));
    for (let slice = 0; slice < slices; slice += 1) {
      const seed = slice + 1;
      const options = { kind: 'open', port, seconds: SLICE_SECONDS, seed };
      const { results } = await generator.run([
        { ...options, operation: 'soak verify', rate: VERIFY_RATE },
        { ...options, operation: 'soak refresh', rate: REFRESH_RATE },
        { ...options, operation: 'soak login', rate: LOGIN_RATE },
      ]);
      const residentBytes = server.usage()?.residentBytes;
      const errors = results.map((result) => result.errors);
      samples.push({ seconds: (slice + 1) * SLICE_SECONDS, residentBytes, refreshMs: results[1].latencyMs, errors });
      bench.report(`soak: ${samples.at(-1).seconds} s, ${Math.round((residentBytes ?? 0) / 1e6)} MB`);
    }
  } finally {
    await server.stop();
  }
  const tenth = Math.floor(samples.length / 10);
  const middle = (part) => median(part.map(({ residentBytes }) => residentBytes));
  return { samples, earlyBytes: middle(samples.slice(tenth, 2 * tenth)), lateBytes: middle(samples.slice(-tenth)) };
}
