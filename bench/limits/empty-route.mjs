// The service's own HTTP edge (createApp of src/app.setup.ts: Nest on Fastify with all hooks, headers and the request
// id) around one empty route, without guard or database: what verify could reach at best. The path lies below /health/,
// whose requests are not logged at the level info, as those of verify are not.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createApp } from '../../dist/app.setup.js';
import { loadConfig } from '../../dist/platform/config/config.loader.js';
import { createLogger } from '../../dist/platform/logging/logger.js';

// The product's Nest, not the one that bench/ installs for the peers.
const requireFromRoot = createRequire(new URL('../../package.json', import.meta.url));
const { Controller, Get, Module } = await import(pathToFileURL(requireFromRoot.resolve('@nestjs/common')));

class EmptyController {
  empty() {}
}
const method = Object.getOwnPropertyDescriptor(EmptyController.prototype, 'empty');
Get('empty')(EmptyController.prototype, 'empty', method);
Controller('health')(EmptyController);

class EmptyModule {}
Module({ controllers: [EmptyController] })(EmptyModule);

const config = loadConfig();
const app = await createApp(EmptyModule, config, createLogger({ level: config.runtime.logLevel }));
await app.listen(config.http.port, config.http.host);
process.once('SIGTERM', () => void app.close());
