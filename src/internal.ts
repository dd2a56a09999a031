/**
 * What `@ratchet/testing` runs the service with. Published as `@ratchet/server/internal`, which may change in any
 * version.
 */
export { AppModule } from './app.module.js';
export { createApp } from './app.setup.js';
export { Clock } from './platform/common/clock.js';
export { loadConfig } from './platform/config/config.loader.js';
export { openDatabase } from './platform/database/open-database.js';
