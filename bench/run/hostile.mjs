import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { shuffled } from '../load/random.mjs';
import { range } from './range.mjs';
import { Ratchet } from './ratchet.mjs';

/** What a bystander does, per second, from an address of its own. */
const RATES = { verify: 200, refresh: 50, login: 2 };
const BYSTANDER = ['x-forwarded-for', '203.0.113.5'];

/** So many end in an hour of a large deployment, or in one attack on it. */
const ENDED_SESSIONS = 100_000;

/** IPv6 networks that an attacker has in many places. */
const ATTACKER_NETWORKS = 16;

/**
 * Measures what a bystander notices of each attack: verify, refresh and login at a steady rate, before it and beside it.
 * The limits are on, and the service is told the clients' addresses as by a gateway.
 *
 * @returns one measurement per attack and repetition
 */
export async function measureHostile(bench) {
  const { rows, hostile, repetitions, warmUpSeconds } = bench.scale;
  bench.report('preparing the attacks');
  const url = await Ratchet.createDatabase(bench, 'bench_hostile', { users: rows, families: rows });
  await endSessions(url);
  const ratchet = await Ratchet.create(bench, 'ratchet-hostile', url);
  const environment = { RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' };
  let server = await ratchet.start(environment);
  const pairs = await ratchet.mintPairs(shuffled(range(rows))).finally(() => server.stop());
  const { generator } = bench;
  const define = (name, spec, from) => generator.define(name, { ...spec, headers: [from] });
  const accessTokens = pairs.map(({ accessToken }) => accessToken);
  await define('bystander verify', ratchet.verify(accessTokens.slice(1)), BYSTANDER);
  await define('bystander refresh', ratchet.refresh(pairs.slice(1).map(({ refreshToken }) => refreshToken)), BYSTANDER);
  await define('bystander login', ratchet.login(rows), BYSTANDER);

  const attacks = attacksOn(ratchet, rows, accessTokens[0]);
  for (const { loops } of attacks) {
    for (const { operation, spec, from } of loops) {
      await define(operation, spec, from);
    }
  }

  const measurements = [];
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    for (const [index, { attack, loops }] of attacks.entries()) {
      bench.report(`${attack}, ${repetition + 1}`);
      await forgetAttempts(url);
      server = await ratchet.start(environment);
      try {
        const { port } = ratchet;
        const { seconds } = hostile;
        const bystander = (seed, ignoreSeconds) =>
          Object.entries(RATES).map(([kind, rate], offset) => ({
            kind: 'open',
            operation: `bystander ${kind}`,
            port,
            rate,
            seed: seed + offset,
            ignoreSeconds,
            seconds,
          }));
        const seed = 1 + 100 * (repetition * attacks.length + index);
        const calm = await generator.run(bystander(seed, warmUpSeconds));
        const attacked = await generator.run([
          ...bystander(seed + 10, hostile.ignoreSeconds),
          ...loops.map(({ kind, operation, rate, connections }) => ({
            kind,
            operation,
            port,
            rate,
            connections,
            seed: seed + 20,
            seconds: seconds + hostile.ignoreSeconds,
          })),
        ]);
        measurements.push({
          attack,
          repetition,
          calm: byKind(calm.results),
          attacked: byKind(attacked.results),
          generatorCores: attacked.generatorCores,
        });
      } finally {
        await server.stop();
      }
    }
  }
  return measurements;
}

/** The generator signs in once per connection that it opens, which would use up the bystander's own limit. */
async function forgetAttempts(url) {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('delete from rate_limits');
  await client.end();
}

function byKind(results) {
  return Object.fromEntries(Object.keys(RATES).map((kind, index) => [kind, results[index]]));
}

/** @returns their loops; each has an operation of its own, which says from where it comes */
function attacksOn(ratchet, users, accessToken) {
  const elsewhere = ['x-forwarded-for', '198.51.100.9'];
  const many = Array.from({ length: 64 }, () => '');
  const logins = Array.from({ length: ATTACKER_NETWORKS }, (_, index) => ({
    kind: 'closed',
    connections: 8,
    operation: `right passwords ${index}`,
    spec: ratchet.login(users),
    from: ['x-forwarded-for', `2001:db8:${index + 1}::1`],
  }));
  return [
    {
      attack: 'hostile paths, 20/s',
      loops: [
        {
          kind: 'open',
          rate: 20,
          operation: 'hostile path',
          spec: { method: 'GET', path: `/${'-eyJ'.repeat(3_000)}`, status: 404, credentials: many },
          from: elsewhere,
        },
      ],
    },
    {
      attack: `list of ${ENDED_SESSIONS.toLocaleString('en')} revocations, 20/s`,
      loops: [
        {
          kind: 'open',
          rate: 20,
          operation: 'revocation list',
          spec: { method: 'GET', path: '/auth/revocations', credentials: many },
          from: elsewhere,
        },
      ],
    },
    { attack: `right passwords from ${ATTACKER_NETWORKS} networks`, loops: logins },
    {
      attack: 'logout-all with one token, 100/s',
      loops: [
        {
          kind: 'open',
          rate: 100,
          operation: 'logout-all',
          spec: {
            method: 'POST',
            path: '/auth/logout-all',
            place: 'bearer',
            status: 204,
            credentials: many.map(() => accessToken),
          },
          from: elsewhere,
        },
      ],
    },
    {
      attack: 'rubbish from the same network, 100/s',
      loops: [
        {
          kind: 'open',
          rate: 100,
          operation: 'rubbish',
          spec: {
            method: 'POST',
            path: '/auth/refresh',
            place: 'json',
            body: '{"refresh_token":"$"}',
            status: 429,
            credentials: many.map(() => `rt1.${randomBytes(69).toString('base64url')}`),
          },
          from: BYSTANDER,
        },
      ],
    },
  ];
}

async function endSessions(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      `insert into refresh_token_families (id, user_id, secret_hash, generation, key_id, rotated_at, created_at,
         expires_at, revoked_at, revoked_xid, revoke_reason)
       select gen_random_uuid(), (select id from users order by email limit 1), '\\x00', 1, 1, now(), now(),
         now() + interval '1 day', now(), pg_current_xact_id(), 'logout'
       from generate_series(1, $1::integer)`,
      [ENDED_SESSIONS],
    );
  } finally {
    await client.end();
  }
}
