import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { hashFamilySecret } from '../../dist/tokens/refresh-token.codec.js';
import { PasswordHasherService } from '../../dist/users/password-hasher.service.js';

const LINES_PER_CHUNK = 2_000;
const DAY_SECONDS = 86_400;

/** The password of every seeded user. */
export const SEEDED_PASSWORD = 'a benchmark is no place for a secret';

/**
 * Fills a migrated, empty database by COPY. All users have one password, hashed once with the service's parameters. The
 * families were opened over the last ten days and used within the last three; of every ten one has ended so long ago
 * that the clean-up is due to delete it, if `withTombstones`.
 *
 * Indexes and constraints are there as migrated while the rows come in; the statistics are brought up to date at the
 * end, as autovacuum would.
 */
export async function fillDatabase({ url, sessions, users, families, withTombstones = false }) {
  const passwordHash = await new PasswordHasherService({ passwords: { hashCost: 'full' } }).hash(
    Buffer.from(SEEDED_PASSWORD),
  );
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await copy(client, 'users (id, email, password_hash)', users, (index) => [
      sessions.userId(index),
      sessions.emailOf(index),
      passwordHash,
    ]);
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const at = (seconds) => new Date(seconds * 1_000).toISOString();
    await copy(
      client,
      'refresh_token_families (id, user_id, secret_hash, generation, key_id, rotated_at, created_at, expires_at, ' +
        'user_agent, ip_address)',
      families,
      (index) => {
        const { id, secret } = sessions.family(index);
        const ageSeconds = 3 * DAY_SECONDS + ((index * 7_919) % (7 * DAY_SECONDS));
        const createdAt = isTombstone(index, withTombstones)
          ? nowSeconds - 31 * DAY_SECONDS - (index % DAY_SECONDS)
          : nowSeconds - ageSeconds;
        const rotatedAt = isTombstone(index, withTombstones)
          ? createdAt
          : nowSeconds - ((index * 104_729) % (3 * DAY_SECONDS));
        return [
          id,
          sessions.userId(index % users),
          `\\\\x${hashFamilySecret(secret).toString('hex')}`,
          1,
          sessions.keyId,
          at(rotatedAt),
          at(createdAt),
          at(createdAt + 30 * DAY_SECONDS),
          'ratchet-bench',
          '127.0.0.1',
        ];
      },
    );
    await client.query('vacuum (analyze) users');
    await client.query('vacuum (analyze) refresh_token_families');
  } finally {
    await client.end();
  }
}

/** Whether the seed made this family one that the clean-up deletes. */
export function isTombstone(index, withTombstones) {
  return withTombstones && index % 10 === 9;
}

async function copy(client, target, count, rowOf) {
  const stream = client.query(copyFrom(`copy ${target} from stdin`));
  await pipeline(Readable.from(chunks(count, rowOf)), stream);
}

/** The written values contain no tab, line end or backslash. */
function* chunks(count, rowOf) {
  for (let start = 0; start < count; start += LINES_PER_CHUNK) {
    let text = '';
    for (let index = start; index < Math.min(count, start + LINES_PER_CHUNK); index += 1) {
      text += `${rowOf(index).join('\t')}\n`;
    }
    yield Buffer.from(text);
  }
}
