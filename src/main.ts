import type { Logger } from 'pino';
import { startServing } from './app.serve.js';
import { bootFailureText, welcomeText } from './boot.report.js';
import type { Config } from './platform/config/config.js';
import { loadConfig } from './platform/config/config.loader.js';
import type { DatabaseAddress } from './platform/database/database.types.js';
import { openDatabase } from './platform/database/open-database.js';
import { createProcessLogger } from './platform/logging/logger.js';

const IGNORED_VARIABLES = 'the database is described by DATABASE_URL alone; variables of PostgreSQL are ignored';

/** Boots the service. On SIGTERM or SIGINT, finishes the requests in flight and only then closes the database. */
async function main(): Promise<void> {
  const shutdown = new AbortController();
  // Both stay installed, because each signal may come twice: npm repeats one that the terminal has sent to the group.
  process.on('SIGINT', () => {
    shutdown.abort();
  });
  process.on('SIGTERM', () => {
    shutdown.abort();
  });

  const config = loadConfig();
  const logger = await createProcessLogger({ level: config.runtime.logLevel });
  logger.info({ event: 'configured', settings: config.changedSettings }, 'settings that differ from their defaults');
  if (config.ignoredVariables.length > 0) {
    logger.warn({ event: 'variables_ignored', names: config.ignoredVariables }, IGNORED_VARIABLES);
  }
  const database = await openDatabase(
    config.database,
    (line) => {
      logger.info(line);
    },
    shutdown.signal,
  );
  try {
    await serve(config, database.address, logger, shutdown.signal);
  } finally {
    await database.close();
  }
  logger.info({ event: 'stopped' }, 'stopped');
}

async function serve(config: Config, address: DatabaseAddress, logger: Logger, shutdown: AbortSignal): Promise<void> {
  const app = await startServing(config, address, logger);
  const url = await app.getUrl();
  logger.info({ event: 'listening', url }, `listening on ${url}`);
  if (config.runtime.environment === 'development') {
    // Standard output carries the log; the welcome is for a person.
    process.stderr.write(welcomeText(url));
  }
  if (!shutdown.aborted) {
    await new Promise((resolve) => {
      shutdown.addEventListener('abort', resolve);
    });
  }
  logger.info({ event: 'stopping' }, 'finishing the requests in flight');
  await app.close();
}

main().catch((error: unknown) => {
  process.stderr.write(`${bootFailureText(error)}\n`);
  process.exitCode = 1;
});
