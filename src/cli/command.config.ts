import type { Config } from '../platform/config/config.js';
import { loadConfig } from '../platform/config/config.loader.js';
import { type Invocation, writeNotice } from './terminal.js';

/** Reads the service's configuration, and says which variables of PostgreSQL are set and ignored. */
export function loadCommandConfig(invocation: Invocation): Config {
  const config = loadConfig(invocation.environment, invocation.workingDirectory);
  if (config.ignoredVariables.length > 0) {
    writeNotice(
      invocation,
      `Ignored: ${config.ignoredVariables.join(', ')}. Only DATABASE_URL describes the database.`,
    );
  }
  return config;
}
