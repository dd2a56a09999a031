import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { AppModule } from './app.module.js';
import { createApp } from './app.setup.js';
import type { Config } from './platform/config/config.js';
import type { DatabaseAddress } from './platform/database/database.types.js';

/**
 * Starts the application and resolves when it listens.
 *
 * @throws the error that kept it from listening; nothing is left running then
 */
export async function startServing(
  config: Config,
  address: DatabaseAddress,
  logger: Logger,
): Promise<NestFastifyApplication> {
  let app: NestFastifyApplication | undefined;
  try {
    app = await createApp(AppModule.forRoot(config, address), config, logger);
    await app.listen(config.http.port, config.http.host);
    return app;
  } catch (error) {
    await app?.close();
    throw error;
  }
}
