import { interruption } from './platform/common/interruption.js';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Readiness } from './platform/common/readiness.js';
import { startServing } from './app.serve.js';
import { bootFailureText, welcomeText } from './boot.report.js';
import type { Config } from './platform/config/config.js';
import { loadConfig } from './platform/config/config.loader.js';
import type { DatabaseAddress } from './platform/database/database.types.js';
import { openDatabase } from './platform/database/open-database.js';
import { createProcessLogger } from './platform/logging/logger.js';
import { writeLastWords } from './platform/logging/standard-output.js';

const IGNORED_VARIABLES = 'the database is described by DATABASE_URL alone; variables of PostgreSQL are ignored';

/** Boots the service. On SIGTERM or SIGINT, finishes the requests in flight and only then closes the database. */
async function main(): Promise<void> {
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
    interruption,
  );
  try {
    if (!interruption.aborted) {
      await serve(config, database.address, logger);
    }
  } finally {
    await database.close();
  }
  logger.info({ event: 'stopped' }, 'stopped');
  await flushed(logger);
}

async function serve(config: Config, address: DatabaseAddress, logger: Logger): Promise<void> {
  const app = await startServing(config, address, logger);
  const url = await app.getUrl();
  logger.info({ event: 'listening', url }, `listening on ${url}`);
  if (config.runtime.environment === 'development') {
    // Standard output carries the log; the welcome is for a person.
    process.stderr.write(welcomeText(url));
  }
  if (!interruption.aborted) {
    await new Promise((resolve) => {
      interruption.addEventListener('abort', resolve);
    });
  }
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
