import { beforeAll, describe, expect, it } from 'vitest';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEBIAN_PYTHON } from './support/debian-python.js';
import { makeScratchFolder } from './support/gateway-process.js';
import { type CommandResult, runCommand } from './support/run-command.js';
import { useRunner } from './support/test-kit.js';
import { testRun } from './support/test-run.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));

/** Each begins with a comment that names it. Blocks of commands are `console`. */
const FILES = [
  'jest.config.js',
  'vitest.config.mjs',
  'global-setup.mjs',
  'orders.test.js',
  'first-lines.cjs',
  'calls.mjs',
  'client.mjs',
  'fake.mjs',
  'test_ratchet.py',
];

/** As a reader has them: in one folder, with the packages installed. */
describe('the files of docs/testing.md', () => {
  const kit = useRunner();
  let folder: string;
  let blocks: ReadonlyMap<string, string>;

  beforeAll(async () => {
    const markdown = await readFile(join(CHECKOUT, 'docs/testing.md'), 'utf8');
    const found = [...markdown.matchAll(/^```(?!console)\w+\n(?:\/\/|#) (\S+)\n([^]*?)^```$/gm)];
    blocks = new Map(found.map(([, name = '', text = '']) => [name, text]));
    expect(markdown.match(/^```(?!console)\w+$/gm)).toHaveLength(found.length);
    folder = await makeScratchFolder('testing-document');
    await symlink(join(CHECKOUT, 'node_modules'), join(folder, 'node_modules'));
    for (const [name, text] of blocks) {
      await writeFile(join(folder, name), text);
    }
  });

  async function run(program: string, ...args: string[]): Promise<CommandResult> {
    const environment = {
      RATCHET_TEST_URL: kit.runner.facts.test_url,
      TEST_DATABASE_URL: testRun().serverUrl,
      TMPDIR: folder,
    };
    return runCommand(program, args, { workingDirectory: folder, environment });
  }

  it('are all run or loaded here', () => {
    expect([...blocks.keys()]).toEqual(FILES);
  });

  it('fit the types of the packages', async () => {
    const compilerOptions = { module: 'nodenext', target: 'es2023', checkJs: true, noEmit: true, types: ['node'] };
    const include = ['*.mjs'];
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include }));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    const compiler = join(CHECKOUT, 'node_modules/typescript/bin/tsc');
    expect(await run('node', compiler, '--project', '.', '--skipLibCheck')).toMatchObject({ exitCode: 0, stdout: '' });
  });

  it('are tests that pass in Vitest with its set-up', async () => {
    const { exitCode, stdout } = await run(
      'node',
      join(CHECKOUT, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--no-color',
    );
    expect(stdout).toContain('Tests  2 passed (2)');
    expect(exitCode).toBe(0);
  });

  it('name entries for Jest that are there', async () => {
    await writeFile(join(folder, 'jest.config.cjs'), blocks.get('jest.config.js') ?? '');
    const config = createRequire(import.meta.url)(join(folder, 'jest.config.cjs')) as Record<string, string>;
    const { resolve } = createRequire(import.meta.url);
    expect(Object.entries(config).map(([name, entry]) => `${name} ${resolve(entry).split('/').at(-1) ?? ''}`)).toEqual([
      'globalSetup jest.js',
      'globalTeardown jest-teardown.js',
    ]);
  });

  it('are tests in Jest with other first lines', async () => {
    const [imports = ''] = /^(?:import .*\n)+/.exec(blocks.get('orders.test.js') ?? '') ?? [];
    const firstLines = blocks.get('first-lines.cjs') ?? '';
    const names = (text: string): string[] => [...text.matchAll(/\{([^}]*)\}/g)].map(([, each = '']) => each.trim());
    expect(names(firstLines)).toEqual(names(imports.replace(/^.*'vitest'.*\n/m, '')));
    expect(await run('node', 'first-lines.cjs')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  });

  it('start a Ratchet with other settings', async () => {
    const use = `import setUp from './global-setup.mjs';
      const tearDown = await setUp();
      console.log(process.env.JWT_AUDIENCE);
      await tearDown();`;
    await writeFile(join(folder, 'use.mjs'), use);
    expect(await run('node', 'use.mjs')).toEqual({ exitCode: 0, stdout: 'orders\n', stderr: '' });
  });

  it('make every call', async () => {
    const { exitCode, stdout, stderr } = await run('node', 'calls.mjs');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^2031-02-03T04:05:06\.\d+Z\n0\nChoose a new password .*password_reset=pr1\..*\n1\n\[/s);
  });

  it('sign in with the client, lose an answer and reach the end of the session', async () => {
    const stdout = '1 signed_in\n200\nsigned_out\nsession_expired\n';
    const { exitCode, stdout: said, stderr } = await run('node', 'client.mjs');
    expect({ exitCode, stderr, said: said.split('\n').sort() }).toEqual({
      exitCode: 0,
      stderr: '',
      said: stdout.split('\n').sort(),
    });
  });

  it('verify tokens without a database', async () => {
    const stdout = "[ 'admin' ]\naccess_token_revoked\n";
    expect(await run('node', 'fake.mjs')).toEqual({ exitCode: 0, stdout, stderr: '' });
  });

  it('test in Python over HTTP', async () => {
    const { exitCode, stderr } = await run(DEBIAN_PYTHON, '-B', 'test_ratchet.py');
    expect(stderr).toMatch(/^Ran 2 tests in .*\n\nOK$/m);
    expect(exitCode).toBe(0);
  });
});
