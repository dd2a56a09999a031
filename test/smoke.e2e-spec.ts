import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNginx } from './support/gateway-nginx.js';
import { isInstalled, type RunningGateway } from './support/gateway-process.js';
import { type CommandResult, runCommand, RunningCommand } from './support/run-command.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';

const checkout = fileURLToPath(new URL('../', import.meta.url));

function smoke(...args: readonly string[]): Promise<CommandResult> {
  return runCommand('node', ['scripts/smoke.mjs', ...args], { workingDirectory: checkout });
}

(isInstalled('nginx', '-v') ? describe : describe.skip)('npm run smoke, through nginx to the sample backend', () => {
  let database: TestDatabase;
  let services: readonly TestService[];
  let orders: RunningCommand;
  let gateway: RunningGateway;

  beforeAll(async () => {
    database = await createTestDatabase();
    services = await Promise.all([startService(database), startService(database)]);
    const [service, otherInstance] = services;
    orders = new RunningCommand('node', ['examples/orders/server.js'], {
      workingDirectory: checkout,
      environment: { AUTH_URL: otherInstance!.url, PORT: '0', INTERNAL_PORT: '0' },
    });
    const [, port = ''] = await orders.said(/"listener":"internal","port":(\d+)/);
    gateway = await startNginx({ ratchet: new URL(service!.url).host, backend: `127.0.0.1:${port}` });
  });

  afterAll(async () => {
    await gateway.stop();
    orders.signalGroup('SIGTERM');
    await orders.end();
    await Promise.all(services.map((service) => service.stop()));
    await database.close();
  });

  it('walks from sign-up to a denial after logout, and says so step by step', async () => {
    const { exitCode, stdout } = await smoke(gateway.url, '/orders');
    expect(stdout).toMatch(/\n13\. Call the backend after signing out \.+ ok +\d+ ms {2}denied after \d+ ms\n/);
    expect(stdout).toMatch(/\n\nAll 13 steps went as they should\.\n$/);
    expect(exitCode).toBe(0);
  });
});

describe('npm run smoke', () => {
  it('ends with 1 at the first step that does not go as it should', async () => {
    const database = await createTestDatabase();
    const service = await startService(database);
    try {
      const { exitCode, stdout } = await smoke(service.url, '/auth/sessions');
      expect(stdout).toMatch(
        /\n 4\. Call the backend through the gateway \.+ FAILED\n\nthe backend does not know the user\n$/,
      );
      expect(exitCode).toBe(1);
    } finally {
      await service.stop();
      await database.close();
    }
  });

  it('says that nothing answers where no service runs', async () => {
    const { exitCode, stdout } = await smoke('http://127.0.0.1:9', '/orders');
    expect(stdout).toMatch(/ 1\. Sign up \.+ FAILED\n\n\S.*\n$/);
    expect(exitCode).toBe(1);
  });
});
