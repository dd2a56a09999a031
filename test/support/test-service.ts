import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from '../../src/app.module.js';
import { createApp } from '../../src/app.setup.js';
import type { Config } from '../../src/platform/config/config.js';
import { loadConfig } from '../../src/platform/config/config.loader.js';
import { createLogger } from '../../src/platform/logging/logger.js';
import { TestClient } from './test-client.js';
import type { TestDatabase } from './test-database.js';
import { testRun } from './test-run.js';

/** The marker lets the secret scan find it wherever it turns up. */
export const AUTH_SECRET = 'auth-secret-of-the-tests-k3Zp9QxV7rT2mW8sL4bN';

export interface TestService {
  readonly app: NestFastifyApplication;
  readonly config: Config;
  readonly url: string;
  /** Talks to this instance as a client would. */
  readonly client: TestClient;
  /** Every event logged so far, parsed. */
  readonly logs: readonly Record<string, unknown>[];
  stop(): Promise<void>;
}

/**
 * One instance of the service through the production set-up, listening on a port of its own.
 *
 * @param environment overrides, as an operator would set them
 * @param modules those of the service that no route uses yet
 */
export async function startService(
  database: Pick<TestDatabase, 'url'>,
  environment: Readonly<Record<string, string>> = {},
  modules: readonly Type[] = [],
): Promise<TestService> {
  const config = loadConfig({
    NODE_ENV: 'test',
    RATE_LIMITS: 'off',
    PASSWORD_HASH_COST: 'least',
    LOG_LEVEL: 'trace',
    AUTH_SECRET,
    DATABASE_URL: database.url,
    DATA_DIR: testRun().runDir,
    ...environment,
  });
  const logs: Record<string, unknown>[] = [];
  const file = createWriteStream(join(testRun().runDir, 'logs', `${randomBytes(6).toString('hex')}.log`));
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done): void {
      const line = chunk.toString();
      logs.push(JSON.parse(line) as Record<string, unknown>);
      file.write(line);
      done();
    },
  });
  const logger = createLogger({ level: config.runtime.logLevel, destination });
  const { url = database.url, directUrl = url } = config.database;
  const root = AppModule.forRoot(config, { url, directUrl });
  const app = await createApp({ ...root, imports: [...(root.imports ?? []), ...modules] }, config, logger);
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close();
    throw error;
  }
  const address = await app.getUrl();
  return {
    app,
    config,
    url: address,
    client: new TestClient(address),
    logs,
    stop: async () => {
      await app.close();
      destination.end();
      await finished(destination);
      file.end();
      await finished(file);
    },
  };
}
