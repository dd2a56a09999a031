import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmod, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderConfigurationTable } from '../src/platform/config/configuration-table.js';
import { freePort } from './support/free-port.js';
import { isInstalled, makeScratchFolder } from './support/gateway-process.js';
import { runCommand } from './support/run-command.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const BETWEEN = '-- next --';

describe('the README', () => {
  let readme: string;
  let database: TestDatabase;
  let service: TestService;

  beforeAll(async () => {
    readme = await readFile(join(CHECKOUT, 'README.md'), 'utf8');
    database = await createTestDatabase();
    service = await startService(database);
  });

  afterAll(async () => {
    await service.stop();
    await database.close();
  });

  it('shows the configuration that the start-up check uses', () => {
    expect(readme).toContain(renderConfigurationTable());
  });

  it('leads through its ten minutes as it says', async () => {
    const blocks = shellBlocks('Ten minutes with curl').map((block) =>
      block.replace('BASE=http://127.0.0.1:3000', `BASE=${service.url}`),
    );
    const { exitCode, stdout, stderr } = await runCommand('bash', ['--norc', '-s'], {
      workingDirectory: CHECKOUT,
      input: blocks.join(`\necho; echo '${BETWEEN}'\n`),
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });

    const [signUp, signIn, use, refresh, repeat, theft, aftermath, signOut] = stdout
      .split(BETWEEN)
      .map((text) => text.trim());
    expect(signUp).toMatch(/^\{"id":"[0-9a-f-]{36}","email":"grace@example.com","roles":\[\],"created_at":".*"\}$/);
    expect(signIn).toMatch(/^\{"access_token":"eyJ.*","refresh_expires_in":1209600\}$/);
    expect(use).toBe(signUp);
    expect(refresh).toMatch(/^rt1\.[\w-]{92}$/);
    expect(repeat).toBe(refresh);
    expect(theft).toContain('"code":"refresh_token_reused"');
    expect(codesIn(aftermath)).toEqual(['refresh_token_reused', 'access_token_revoked']);
    expect(signOut).toMatch(/^\{"sessions":\[\{.*"current":true.*\}\]\}204\n\{.*"code":"access_token_revoked"\}$/);
  });

  (isInstalled('nginx', '-v') ? it : it.skip)('puts a gateway before a backend as it says', async () => {
    const [gatewayPort, backendPort] = [await freePort(), await freePort()];
    const folder = await makeScratchFolder('readme');
    // nginx gives up root, and must then still find its folder.
    await chmod(dirname(folder), 0o711);
    await chmod(folder, 0o755);
    const blocks = shellBlocks('Put it behind your gateway').map((block) =>
      block
        .replace('127.0.0.1:3000', new URL(service.url).host)
        .replaceAll('8081', String(backendPort))
        .replaceAll('127.0.0.1:8080', `127.0.0.1:${gatewayPort}`)
        .replaceAll('/tmp/gateway', folder),
    );
    expect(blocks).toHaveLength(3);
    const { exitCode, stdout, stderr } = await runCommand('bash', ['--norc', '-s'], {
      workingDirectory: CHECKOUT,
      input: blocks.join(`\necho '${BETWEEN}'\n`),
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const [, answers = ''] = stdout.split(BETWEEN);
    const users = [...answers.matchAll(/"x-user-id": "([^"]*)"/g)].map(([, user]) => user);
    expect(users).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), users[0]]);
    expect(codesIn(answers)).toEqual(['access_token_missing', 'insufficient_role', 'access_token_revoked']);
  });

  it("shows operator's commands that work", async () => {
    const [commands = ''] = shellBlocks('Operate it');
    for (const line of commands.split('\n')) {
      const { exitCode, stdout } = await runCommand('bash', ['--norc', '-c', line], {
        workingDirectory: CHECKOUT,
        environment: { DATABASE_URL: database.url, AUTH_SECRET },
      });
      expect({ line, exitCode, stdout }).toEqual({
        line,
        exitCode: 0,
        stdout: expect.stringContaining('admin@example.com'),
      });
    }
    expect(await database.sql(`select 1 from users where email = 'admin@example.com'`)).toEqual([]);
  });

  it('shows commands for the signing keys that work', async () => {
    const [, keys = '', secret = ''] = shellBlocks('Operate it');
    const lines = `${keys}\n${secret}`.split('\n').map((line) => line.trim());
    expect(lines).toEqual(['list', 'plan', 'rotate', 'reencrypt'].map((name) => `npm run keys -- ${name}`));
    for (const line of lines) {
      const { exitCode } = await runCommand('bash', ['--norc', '-c', line], {
        workingDirectory: CHECKOUT,
        environment: { DATABASE_URL: database.url, AUTH_SECRET },
      });
      expect({ line, exitCode }).toEqual({ line, exitCode: 0 });
    }
  });

  function shellBlocks(section: string): string[] {
    const text = readme.split(/^## /m).find((part) => part.startsWith(section)) ?? '';
    return [...text.matchAll(/^ *```sh\n([^]*?)^ *```$/gm)].map(([, block = '']) => block.trimEnd());
  }
});

function codesIn(text = ''): string[] {
  return [...text.matchAll(/"code":"(\w+)"/g)].map(([, code = '']) => code);
}
