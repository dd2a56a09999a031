import cluster from 'node:cluster';
import { startServing } from './app.serve.js';
import { bootFailureText } from './boot.report.js';
import { loadConfig } from './platform/config/config.loader.js';
import { createLogger } from './platform/logging/logger.js';
import { SupervisorLink } from './workers/supervisor-link.js';

/** One of several processes that share a port; started by the supervisor only, and ended by it. */
async function main(link: SupervisorLink): Promise<void> {
  const { number, address } = await link.assignment;
  const config = loadConfig();
  const logger = createLogger({ level: config.logLevel, worker: number });
  const app = await startServing(config, address, logger, link);
  await link.reportServing(await app.getUrl());
  await link.stopped;
  await app.close();
}

// A terminal and a service manager signal all processes at once; when to end, and in which order, the supervisor says.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

const link = new SupervisorLink(process);
main(link)
  .catch(async (error: unknown) => {
    process.exitCode = 1;
    await link.reportFailure(bootFailureText(error));
  })
  .finally(() => {
    // The last thing that keeps the process alive.
    cluster.worker?.disconnect();
  });
