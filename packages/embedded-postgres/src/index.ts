export { startEmbeddedPostgres, type EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.js';
export { DataDirectoryInUseError, EmbeddedPostgresError } from './errors.js';
