import { isIP } from 'node:net';
import type { Config } from '../config/config.js';
import { DatabaseClient } from './database-client.js';

/**
 * Finds the settings that lead to another machine without TLS that verifies it. A name without a dot is taken for one of
 * a network of containers, as in `docker-compose.yml`; private addresses are those of other machines all the same.
 *
 * @returns names of variables
 */
export function listUnprotectedConnections({ database, limits }: Pick<Config, 'database' | 'limits'>): string[] {
  const isUnprotected = {
    DATABASE_URL: isPostgresUnprotected(database.url),
    DATABASE_DIRECT_URL: isPostgresUnprotected(database.directUrl),
    REDIS_URL: isRedisUnprotected(limits.redisUrl),
  };
  return Object.entries(isUnprotected).flatMap(([name, is]) => (is ? [name] : []));
}

/** Asks the driver what it makes of the URL, which has several ways to say the same. */
function isPostgresUnprotected(url: string | undefined): boolean {
  if (url === undefined) {
    return false;
  }
  const { host, ssl } = new DatabaseClient({ connectionString: url }) as {
    readonly host: string;
    readonly ssl: unknown;
  };
  const isVerified =
    ssl === true ||
    (typeof ssl === 'object' && ssl !== null && !('rejectUnauthorized' in ssl && ssl.rejectUnauthorized === false));
  return isElsewhere(host) && !isVerified;
}

function isRedisUnprotected(url: string | undefined): boolean {
  return url !== undefined && new URL(url).protocol === 'redis:' && isElsewhere(new URL(url).hostname);
}

function isElsewhere(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (name.startsWith('/')) {
    // The folder of a Unix socket.
    return false;
  }
  if (isIP(name) !== 0) {
    return !/^(?:127\.|::1$|::ffff:127\.)/.test(name);
  }
  return name.includes('.') && !name.endsWith('.localhost');
}
