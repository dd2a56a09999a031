import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNginx } from './support/gateway-nginx.js';
import { isInstalled, type RunningGateway } from './support/gateway-process.js';
import { type CommandResult, runCommand, RunningCommand } from './support/run-command.js';
import { useInstance, useService } from './support/use-service.js';

const checkout = fileURLToPath(new URL('../', import.meta.url));

function smoke(...args: readonly string[]): Promise<CommandResult> {
  return runCommand('node', ['scripts/smoke.mjs', ...args], { workingDirectory: checkout });
}

(isInstalled('nginx', '-v') ? describe : describe.skip)('npm run smoke, through nginx to the sample backend', () => {
  const { database, service } = useService();
  const otherInstance = useInstance(database);
  let orders: RunningCommand;
  let gateway: RunningGateway;

  beforeAll(async () => {
    orders = new RunningCommand('node', ['examples/orders/server.js'], {
      workingDirectory: checkout,
      environment: { AUTH_URL: otherInstance.url, JWT_ISSUER: 'http://localhost:3000', PORT: '0', INTERNAL_PORT: '0' },
    });
    const [, port = ''] = await orders.said(/"listener":"internal","port":(\d+)/);
    gateway = await startNginx({ ratchet: new URL(service.url).host, backend: `127.0.0.1:${port}` });
  });

  afterAll(async () => {
    await gateway.stop();
    orders.signalGroup('SIGTERM');
    await orders.end();
  });

  it('walks from sign-up to a denial after logout, and says so step by step', async () => {
    const { exitCode, stdout } = await smoke(gateway.url, '/orders');
    expect(stdout).toMatch(/\n13\. Call the backend after signing out \.+ ok +\d+ ms {2}denied after \d+ ms\n/);
    expect(stdout).toMatch(/\n\nAll 13 steps went as they should\.\n$/);
    expect(exitCode).toBe(0);
  });
});

describe('npm run smoke', () => {
  const { service } = useService();

  it('walks through what npm start runs, where there is neither a gateway nor a backend', async () => {
    const { exitCode, stdout } = await runCommand('node', ['scripts/smoke.mjs'], {
      workingDirectory: checkout,
      environment: { PORT: new URL(service.url).port },
    });
    expect(stdout).toContain(`Walking through ${service.url}, with the backend at /auth/me\n`);
    expect(stdout).toMatch(/\n\nAll 13 steps went as they should\.\n$/);
    expect(exitCode).toBe(0);
  });

  it('ends with 1 at the first step that does not go as it should', async () => {
    const { exitCode, stdout } = await smoke(service.url, '/auth/sessions');
    expect(stdout).toMatch(
      /\n 4\. Call the backend through the gateway \.+ FAILED\n\nthe backend does not know the user\n$/,
    );
    expect(exitCode).toBe(1);
  });

  it('says that nothing answers where no service runs', async () => {
    const { exitCode, stdout } = await smoke('http://127.0.0.1:9', '/orders');
    expect(stdout).toMatch(/ 1\. Sign up \.+ FAILED\n\n\S.*\n$/);
    expect(exitCode).toBe(1);
  });
});

describe('a script', () => {
  const SCRIPTS = [
    ...['build', 'docs-config', 'measure', 'measure-gateway', 'measure-login-timing', 'measure-revocation'],
    ...['measure-start', 'measure-verifier', 'prove-failover', 'prove-faults', 'prove-model-test', 'prove-protocol'],
    ...['sbom', 'smoke'],
  ].map((name) => `scripts/${name}.mjs`);
  const PROGRAMS = ['main', 'cli/users', 'cli/keys', 'cli/mails', 'cli/migration'].map((name) => `dist/${name}.js`);

  it.each([...SCRIPTS, ...PROGRAMS])(
    '%s explains itself at --help, and refuses an option that it does not know',
    async (file) => {
      const run = (option: string): Promise<CommandResult> =>
        runCommand('node', [file, option], { workingDirectory: checkout });
      const [help, misused] = await Promise.all([run('--help'), run('--what')]);
      expect(help).toEqual({ exitCode: 0, stdout: expect.stringMatching(/\w{4}/), stderr: '' });
      expect(misused).toEqual({ exitCode: 2, stdout: '', stderr: expect.stringMatching(/\w{4}/) });
    },
  );

  it('smoke refuses what is no base URL', async () => {
    expect(await smoke('help')).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining('base URL') });
  });
});
