import type { Config } from '../platform/config/config.js';
import { type DatabaseConfig, loadCommandConfig, loadDatabaseConfig } from '../platform/config/config.loader.js';
import { type Invocation, writeNotice } from './terminal.js';

/** Reads what a command for accounts or keys needs, and says which variables of PostgreSQL are set and ignored. */
export function readCommandConfig(invocation: Invocation): Config {
  return reported(invocation, loadCommandConfig(invocation.environment, invocation.workingDirectory));
}

/** Reads what a migration needs: the database, and no secret of the service. */
export function readDatabaseConfig(invocation: Invocation): DatabaseConfig {
  return reported(invocation, loadDatabaseConfig(invocation.environment, invocation.workingDirectory));
}

function reported<T extends DatabaseConfig>(invocation: Invocation, config: T): T {
  if (config.ignoredVariables.length > 0) {
    writeNotice(
      invocation,
      `Ignored: ${config.ignoredVariables.join(', ')}. Only DATABASE_URL describes the database.`,
    );
  }
  return config;
}
