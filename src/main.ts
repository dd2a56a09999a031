import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { createApp } from './app.setup.js';
import { bootFailureText, welcomeText } from './boot.report.js';
import type { Config } from './config/config.js';
import { loadConfig } from './config/config.loader.js';
import { type OpenDatabase, openDatabase } from './database/open-database.js';
import { createLogger } from './logging/logger.js';

/** Boots the service; on SIGTERM or SIGINT finishes the requests in flight, and only then lets go of the database. */
async function main(): Promise<void> {
  const shutdown = new AbortController();
  // Both stay installed: npm passes on a signal that the terminal has sent to the whole group already.
  process.on('SIGINT', () => {
    shutdown.abort();
  });
  process.on('SIGTERM', () => {
    shutdown.abort();
  });

  const config = loadConfig();
  const logger = createLogger({ level: config.logLevel });
  const database = await openDatabase(
    config.database,
    (line) => {
      logger.info(line);
    },
    shutdown.signal,
  );
  const app = await startServing(config, database, logger);

  const url = await app.getUrl();
  logger.info({ event: 'listening', url }, `listening on ${url}`);
  if (config.environment === 'development') {
    // Standard output carries the log; the welcome is for a person.
    process.stderr.write(welcomeText(url));
  }

  if (!shutdown.signal.aborted) {
    await new Promise((resolve) => {
      shutdown.signal.addEventListener('abort', resolve);
    });
  }
  logger.info({ event: 'stopping' }, 'finishing the requests in flight');
  await app.close();
  await database.close();
  logger.info({ event: 'stopped' }, 'stopped');
}

async function startServing(
  config: Config,
  database: OpenDatabase,
  logger: ReturnType<typeof createLogger>,
): Promise<NestFastifyApplication> {
  let app: NestFastifyApplication | undefined;
  try {
    app = await createApp(AppModule.forRoot(config, database.address), config, logger);
    await app.listen(config.http.port, config.http.host);
    return app;
  } catch (error) {
    await app?.close();
    await database.close();
    throw error;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${bootFailureText(error)}\n`);
  process.exitCode = 1;
});
