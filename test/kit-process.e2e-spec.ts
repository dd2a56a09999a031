import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NamespaceAnswer } from '../packages/testing/src/contract.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { killPostgresOf } from './support/kill-postgres.js';
import { RUNNER, RunnerProcess } from './support/test-kit.js';
import { testRun } from './support/test-run.js';
import { useService } from './support/use-service.js';

const GONE = { withinMs: 10_000 };

describe('the process of the test kit', () => {
  const runners: RunnerProcess[] = [];

  function start(args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}): RunnerProcess {
    const runner = new RunnerProcess(args, environment);
    runners.push(runner);
    return runner;
  }

  afterEach(async () => {
    await Promise.all(
      runners.splice(0).map((runner) => {
        runner.signal('SIGKILL');
        return runner.ended();
      }),
    );
  });

  describe('with its own PostgreSQL', () => {
    let scratch: string;

    beforeAll(async () => {
      scratch = await realpath(await mkdtemp(join(tmpdir(), 'ratchet-kit-')));
      await chmod(scratch, 0o755);
    });

    afterAll(async () => {
      await Promise.all((await slots()).map(killPostgresOf));
      await rm(scratch, { recursive: true, force: true });
    });

    /** The data directories that there are. */
    async function slots(): Promise<readonly string[]> {
      const [home] = (await readdir(scratch)).filter((name) => name.startsWith('ratchet-testing-'));
      return home === undefined ? [] : (await readdir(join(scratch, home))).map((name) => join(scratch, home, name));
    }

    async function processesOfSlots(): Promise<readonly number[]> {
      return (await Promise.all((await slots()).map(postgresProcessesOf))).flat();
    }

    async function started(): Promise<RunnerProcess> {
      const runner = start([], { TMPDIR: scratch });
      await runner.ready();
      return runner;
    }

    it('leaves no process behind and its files to the next one, however it, its parent or its PostgreSQL ends', async () => {
      const ends: readonly [string, (runner: RunnerProcess) => unknown, object][] = [
        [
          'it is stopped',
          (runner) => {
            runner.signal('SIGTERM');
          },
          { code: 0, signal: null },
        ],
        [
          'its parent has gone',
          (runner) => {
            runner.leave();
          },
          { code: 0, signal: null },
        ],
        [
          'it is killed',
          (runner) => {
            runner.signal('SIGKILL');
          },
          { code: null, signal: 'SIGKILL' },
        ],
        [
          'PostgreSQL is killed',
          async () => {
            process.kill((await processesOfSlots())[0] ?? 0, 'SIGKILL');
          },
          { code: 1, signal: null },
        ],
      ];
      for (const [what, end, status] of ends) {
        const runner = await started();
        const { url } = runner.facts;
        expect(runner.facts).toEqual({
          event: 'ready',
          url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
          test_url: `${url}/test`,
          pid: runner.pid,
          issuer: url,
          audience: 'ratchet',
        });
        await end(runner);
        expect([what, await runner.ended()]).toEqual([what, status]);
        await eventually(async () => (await processesOfSlots()).length === 0, GONE);
        expect([what, await slots()]).toEqual([what, [expect.stringMatching(/\/0$/)]]);
        expect(runner.output.trim().split('\n')).toHaveLength(1);
        if (what === 'PostgreSQL is killed') {
          expect(runner.errorOutput).toContain('The PostgreSQL of the test kit has ended');
        }
      }
    });

    it('serves two suites at once, each from files of its own', async () => {
      const both = await Promise.all([started(), started()]);
      expect(await slots()).toHaveLength(2);
      await Promise.all(both.map((runner) => runner.stop()));
      expect(await processesOfSlots()).toEqual([]);
    });

    it('ends with its parent also where it has no pipe to it', async () => {
      const command = `"${process.execPath}" "${RUNNER}" --port 0 --watch-parent </dev/null & wait`;
      const env = { ...process.env, TMPDIR: scratch, TEST_DATABASE_URL: '' };
      const parent = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'], env });
      const line = await new Promise<string>((resolve) =>
        parent.stdout.once('data', (chunk: Buffer) => {
          resolve(chunk.toString());
        }),
      );
      const { pid } = JSON.parse(line) as { readonly pid: number };
      parent.kill('SIGKILL');
      await eventually(() => !isAlive(pid), GONE);
      expect(await processesOfSlots()).toEqual([]);
    });

    function isAlive(pid: number): boolean {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    }
  });

  describe('on a server of TEST_DATABASE_URL', () => {
    let server: Client;

    beforeAll(async () => {
      server = new Client({ connectionString: testRun().serverUrl });
      await server.connect();
    });

    afterAll(() => server.end());

    async function isReachedAt(host: string, { facts }: RunnerProcess): Promise<boolean> {
      return fetch(`http://${host}:${new URL(facts.url).port}/health/live`).then(
        ({ ok }) => ok,
        () => false,
      );
    }

    async function databases(): Promise<readonly string[]> {
      const { rows } = await server.query<{ datname: string }>('select datname from pg_database');
      return rows.map(({ datname }) => datname);
    }

    it('drops what it has made and what an earlier run has left, touches no other database, and listens on loopback', async () => {
      const mark = 'made by @ratchet/testing at ';
      const comments = {
        ratchet_test_unmarked: null,
        ratchet_test_other: 'made by hand at 2020-01-01T00:00:00.000Z',
        ratchet_test_young: `${mark}${new Date().toISOString()}`,
        ratchet_test_left: `${mark}2020-01-01T00:00:00.000Z`,
      };
      for (const [name, comment] of Object.entries(comments)) {
        await server.query(`create database ${name}`);
        await server.query(`comment on database ${name} is ${comment === null ? 'null' : `'${comment}'`}`);
      }
      try {
        const before = new Set(await databases());
        const runner = start([], { TEST_DATABASE_URL: testRun().serverUrl });
        await runner.ready();
        const made = (await databases()).filter((name) => !before.has(name) && !name.includes('template'));
        expect(made).toHaveLength(1);
        expect([await isReachedAt('127.0.0.1', runner), await isReachedAt('127.0.0.2', runner)]).toEqual([true, false]);
        await runner.stop();
        const after = await databases();
        expect(made.filter((name) => after.includes(name))).toEqual([]);
        expect(Object.keys(comments).filter((name) => after.includes(name))).toEqual([
          'ratchet_test_unmarked',
          'ratchet_test_other',
          'ratchet_test_young',
        ]);
      } finally {
        for (const name of Object.keys(comments)) {
          await server.query(`drop database if exists ${name}`);
        }
      }
    });

    it('listens, begins issuers and configures namespaces as its environment and its options say', async () => {
      const runner = start(['--config', '{"JWT_AUDIENCE":"orders"}'], {
        TEST_DATABASE_URL: testRun().serverUrl,
        RATCHET_TEST_HOST: '0.0.0.0',
        RATCHET_TEST_ISSUER: 'http://auth.example.test:4010',
      });
      expect(await runner.ready()).toMatchObject({
        url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:/),
        issuer: 'http://auth.example.test:4010',
        audience: 'orders',
      });
      expect(await isReachedAt('127.0.0.2', runner)).toBe(true);
      expect(await runner.must<NamespaceAnswer>('PUT', '/n1')).toMatchObject({
        url: `${runner.facts.url}/ns/n1`,
        issuer: 'http://auth.example.test:4010/ns/n1',
        audience: 'orders',
      });
    });

    it.each<[string, readonly string[], Readonly<Record<string, string>>, string]>([
      ['in production', [], { NODE_ENV: 'production' }, 'NODE_ENV=production'],
      ['with an option that it does not have', ['--verbose'], {}, '--verbose'],
      ['with a port that is none', ['--port', 'x'], {}, '--port'],
      ['with a config that is no object', ['--config', '[]'], {}, '--config'],
      ['with an issuer that is no origin', [], { RATCHET_TEST_ISSUER: 'http://x/path' }, 'RATCHET_TEST_ISSUER'],
    ])('does not start %s, and says why', async (_what, args, environment, reason) => {
      const runner = start(args, { TEST_DATABASE_URL: testRun().serverUrl, ...environment });
      expect(await runner.ended()).toEqual({ code: 2, signal: null });
      expect([runner.output, runner.errorOutput]).toEqual(['', expect.stringContaining(reason)]);
    });

    it('does not start with a setting of the service that is wrong, and says which', async () => {
      const environment = { TEST_DATABASE_URL: testRun().serverUrl };
      const runner = start(['--config', '{"ACCESS_TOKEN_TTL":"60"}'], environment);
      expect(await runner.ended()).toEqual({ code: 1, signal: null });
      expect(runner.errorOutput).toContain('ACCESS_TOKEN_TTL cannot be set');
    });
  });

  describe('is no part of the service, which', () => {
    const { service } = useService();

    it('has nothing at /test', async () => {
      expect((await service.client.get('/test/health')).status).toBe(404);
    });
  });
});
