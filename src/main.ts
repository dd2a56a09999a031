import { interruption } from './platform/common/interruption.js';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { Readiness } from './platform/common/readiness.js';
import { startServing } from './app.serve.js';
import { bootFailureText, welcomeText } from './boot.report.js';
import type { Config } from './platform/config/config.js';
import { loadConfig, urlOf, withPort } from './platform/config/config.loader.js';
import { listOriginsOfOtherSites } from './platform/config/cookie-sites.js';
import type { DatabaseAddress } from './platform/database/database.types.js';
import { servesApiDocs } from './platform/http/openapi.js';
import { onceAvailable, openDatabase } from './platform/database/open-database.js';
import { listUnprotectedConnections } from './platform/database/unprotected-connections.js';
import { createProcessLogger } from './platform/logging/logger.js';
import { writeLastWords } from './platform/logging/standard-output.js';

const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

const USAGE = `Starts the service. It takes no arguments: settings are environment variables, which docs/configuration.md lists.
In development the file .env is read as well. Ctrl-C stops it.
`;

/** The exit code that shells use for wrong usage. */
const EXIT_MISUSED = 2;

const UNPROTECTED =
  'connections to another machine do not verify it by TLS, so that others on the network may read and change them; ' +
  'use ?sslmode=verify-full in PostgreSQL URLs, and rediss:// for Redis';

const OTHER_SITES =
  'pages of these origins cannot stay signed in with Safari and Firefox, which keep no cookies of another site; JWT_ISSUER and ' +
  'COOKIE_ORIGINS have to be on one, such as auth.example.com and app.example.com';

const IGNORED_VARIABLES = 'the database is described by DATABASE_URL alone; variables of PostgreSQL are ignored';

/** Boots the service. On SIGTERM or SIGINT, finishes the requests in flight and only then closes the database. */
async function main(): Promise<void> {
  if (process.argv.length > 2) {
    const isHelp = ['--help', '-h'].includes(process.argv[2] ?? '');
    (isHelp ? process.stdout : process.stderr).write(USAGE);
    process.exitCode = isHelp ? 0 : EXIT_MISUSED;
    return;
  }
  const config = await withKnownPort(loadConfig());
  const logger = await createProcessLogger({ level: config.runtime.logLevel });
  logger.info({ event: 'configured', settings: config.changedSettings }, 'settings that differ from their defaults');
  if (config.ignoredVariables.length > 0) {
    logger.warn({ event: 'variables_ignored', names: config.ignoredVariables }, IGNORED_VARIABLES);
  }
  const unprotected = listUnprotectedConnections(config);
  if (unprotected.length > 0) {
    logger.warn({ event: 'connection_unprotected', names: unprotected }, UNPROTECTED);
  }
  const ofOtherSites = listOriginsOfOtherSites(config);
  if (ofOtherSites.length > 0) {
    logger.warn({ event: 'cookie_origins_of_other_sites', origins: ofOtherSites }, OTHER_SITES);
  }
  const report = (line: string): void => {
    logger.info(line);
  };
  const database = await openDatabase(config.database, report, interruption);
  let app: NestFastifyApplication | undefined;
  try {
    app = await Promise.race([start(config, database.address, logger, report), interrupted()]);
    if (app !== undefined) {
      await serve(app, config, logger);
    }
  } finally {
    await database.close();
  }
  logger.info({ event: 'stopped' }, 'stopped');
  await flushed(logger);
  if (app === undefined) {
    // The start waits for the database, maybe for long.
    process.exit();
  }
}

/** Chooses the port where the issuer depends on it: tokens name the issuer, which is fixed before the service listens. */
async function withKnownPort(config: Config): Promise<Config> {
  const { host, port } = config.http;
  if (config.runtime.environment !== 'development' || port !== 0) {
    return config;
  }
  const probe = createServer().listen(0, host);
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? withPort(config, address.port) : config;
}

/** Waits for a database that goes away in the middle of a start as for one that is down before it. */
async function start(
  config: Config,
  address: DatabaseAddress,
  logger: Logger,
  report: (line: string) => void,
): Promise<NestFastifyApplication | undefined> {
  // No wait of the modules keeps the process alive, and without a connection nothing else does.
  const keepAlive = setInterval(() => undefined, LONGEST_INTERVAL_MS);
  try {
    return await onceAvailable(() => startServing(config, address, logger), report, interruption);
  } catch (error) {
    if (interruption.aborted) {
      return undefined;
    }
    throw error;
  } finally {
    clearInterval(keepAlive);
  }
}

function interrupted(): Promise<undefined> {
  return new Promise((resolve) => {
    interruption.addEventListener('abort', () => {
      resolve(undefined);
    });
    if (interruption.aborted) {
      resolve(undefined);
    }
  });
}

async function serve(app: NestFastifyApplication, config: Config, logger: Logger): Promise<void> {
  const url = await app.getUrl();
  logger.info({ event: 'listening', url }, `listening on ${url}`);
  if (config.runtime.environment === 'development') {
    // Standard output carries the log; the welcome is for a person.
    process.stderr.write(welcomeText(urlOf(config.http), config.accessTokens, servesApiDocs(config)));
  }
  await interrupted();
  const delaySeconds = config.http.shutdownDelaySeconds;
  if (delaySeconds > 0) {
    app.get(Readiness).leave();
    logger.info({ event: 'leaving', delay_seconds: delaySeconds }, 'not ready any more, and still serving');
    await pause(delaySeconds * 1000);
  }
  logger.info({ event: 'stopping' }, 'finishing the requests in flight');
  await app.close();
}

/** Ends the process where the log has no reader: what is left to write would keep it alive. */
function flushed(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    logger.flush((error) => {
      if (error !== undefined) {
        process.exit();
      }
      resolve();
    });
  });
}

main().catch((error: unknown) => {
  writeLastWords(`${bootFailureText(error)}\n`);
  process.exitCode = 1;
});
