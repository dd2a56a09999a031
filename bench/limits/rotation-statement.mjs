// The rotation without HTTP, JSON, signatures or queue: the product's statement over the product's driver, as fast as
// the database answers. MODE `single`: 32 connections with one rotation each; `set`: one connection, IN_FLIGHT
// rotations in every statement. The parameters come from the product's repository. Prints the rate as JSON.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { ServerKeys } from '../../dist/platform/common/server-keys.js';
import { loadConfig } from '../../dist/platform/config/config.loader.js';
import { FamiliesRepository } from '../../dist/tokens/families.repository.js';
import { hashFamilySecret } from '../../dist/tokens/refresh-token.codec.js';
import { shuffled } from '../load/random.mjs';
import { SeededSessions } from '../ratchet/seeded-session.mjs';

const { MODE, IN_FLIGHT, SECONDS, FAMILIES } = process.env;
const inFlight = Number(IN_FLIGHT);
const config = loadConfig();
const sessions = new SeededSessions(config.secrets.current);
const serverKeys = new ServerKeys(config);

async function connect() {
  const client = new pg.Client({ connectionString: config.database.url, options: '-c synchronous_commit=on' });
  await client.connect();
  const queryPrepared = async (statement, values) => (await client.query({ ...statement, values })).rows;
  return { client, connection: { queryPrepared } };
}

const repository = new FamiliesRepository(undefined, serverKeys, config);

async function readFamilies(client) {
  const { rows } = await client.query('select id, generation from refresh_token_families');
  const generations = new Map(rows.map(({ id, generation }) => [id, generation]));
  return Array.from({ length: Number(FAMILIES) }, (_, index) => {
    const { id, secret } = sessions.family(index);
    return { id, secretHash: hashFamilySecret(secret), generation: generations.get(id) };
  });
}

const present = ({ id, secretHash, generation }) => ({
  familyId: id,
  secretHash,
  generation,
  retryKeyHash: randomBytes(32),
  retryKeyDigest: randomBytes(8),
  isKeyFromClient: false,
  client: { ipAddress: '127.0.0.1', userAgent: 'ratchet-bench' },
});

/** @param own families that no other connection rotates */
async function rotateOneByOne({ connection }, own, until) {
  let count = 0;
  for (let turn = 0; performance.now() < until; turn += 1) {
    const family = own[turn % own.length];
    const { kind } = await repository.rotateFamily(connection, present(family));
    requireRotated(kind);
    family.generation += 1;
    count += 1;
  }
  return count;
}

async function rotateInSets({ connection }, own, until) {
  let count = 0;
  for (let turn = 0; performance.now() < until; turn += 1) {
    const start = (turn * inFlight) % (own.length - inFlight + 1);
    const set = own.slice(start, start + inFlight);
    const outcomes = await repository.rotateFreeFamilies(connection, set.map(present));
    for (const family of set) {
      requireRotated(outcomes.get(family.id)?.kind);
      family.generation += 1;
    }
    count += set.length;
  }
  return count;
}

function requireRotated(kind) {
  if (kind !== 'rotated') {
    throw new Error(`a rotation was judged ${kind}`);
  }
}

const connections = await Promise.all(Array.from({ length: MODE === 'single' ? inFlight : 1 }, connect));
const families = shuffled(await readFamilies(connections[0].client));
const share = Math.floor(families.length / connections.length);
const rotate = MODE === 'single' ? rotateOneByOne : rotateInSets;
const run = async (seconds) => {
  const startedAt = performance.now();
  const counts = await Promise.all(
    connections.map((connection, index) =>
      rotate(connection, families.slice(index * share, (index + 1) * share), startedAt + seconds * 1_000),
    ),
  );
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - startedAt) / 1_000);
};
await run(1);
console.log(JSON.stringify({ rate: await run(Number(SECONDS)) }));
await Promise.all(connections.map(({ client }) => client.end()));
