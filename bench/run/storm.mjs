import { shuffled } from '../load/random.mjs';
import { range } from './range.mjs';
import { Ratchet } from './ratchet.mjs';

const VERIFY_RATE = 500;
const REFRESH_RATE = 100;
const FRESH_CONNECTION_RATE = 20;

/** The other clients have opened their connections by then. */
const BEGINS_AFTER_SECONDS = 1;

/**
 * Measures a storm: 300 people sign in at once and retry after the time in `Retry-After`, while other clients verify
 * and refresh at a steady rate, on open connections, as through a gateway, and on new ones.
 *
 * @returns one measurement per repetition
 */
export async function measureStorm(bench) {
  const { rows, storm, repetitions } = bench.scale;
  bench.report('preparing the login storm');
  const url = await Ratchet.createDatabase(bench, 'bench_storm', { users: rows, families: rows });
  const ratchet = await Ratchet.create(bench, 'ratchet-storm', url);
  let server = await ratchet.start();
  const pairs = await ratchet.mintPairs(shuffled(range(rows))).finally(() => server.stop());
  const { generator } = bench;
  await generator.define('storm verify', ratchet.verify(pairs.map(({ accessToken }) => accessToken)));
  await generator.define('storm refresh', ratchet.refresh(pairs.map(({ refreshToken }) => refreshToken)));
  await generator.define('storm login', ratchet.login(rows));

  const measurements = [];
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    bench.report(`login storm ${repetition + 1}`);
    server = await ratchet.start();
    try {
      const { port } = ratchet;
      const { calmSeconds, ignoreSeconds, seconds, clients } = storm;
      const others = (options) => [
        { kind: 'open', operation: 'storm verify', port, rate: VERIFY_RATE, seed: repetition + 1, ...options },
        { kind: 'open', operation: 'storm refresh', port, rate: REFRESH_RATE, seed: repetition + 101, ...options },
        {
          kind: 'open',
          operation: 'storm verify',
          port,
          rate: FRESH_CONNECTION_RATE,
          freshConnections: true,
          seed: repetition + 201,
          ...options,
        },
      ];
      const calm = await generator.run(others({ ignoreSeconds: 1, seconds: calmSeconds }));
      const stormy = await generator.run([
        ...others({ ignoreSeconds: BEGINS_AFTER_SECONDS + ignoreSeconds, seconds }),
        {
          kind: 'storm',
          operation: 'storm login',
          port,
          clients,
          afterSeconds: BEGINS_AFTER_SECONDS,
          ignoreSeconds,
          seconds,
        },
      ]);
      measurements.push({
        repetition,
        calm: { verify: calm.results[0], refresh: calm.results[1], fresh: calm.results[2] },
        verify: stormy.results[0],
        refresh: stormy.results[1],
        fresh: stormy.results[2],
        login: stormy.results[3],
        generatorCores: stormy.generatorCores,
      });
    } finally {
      await server.stop();
    }
  }
  await generator.forget(['storm verify', 'storm refresh', 'storm login']);
  return measurements;
}
