import { beforeAll, describe, expect, it } from 'vitest';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from './support/run-command.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const SAMPLES = join(CHECKOUT, 'examples', 'e2e');
const JEST_29 = join(CHECKOUT, 'test', 'package-tools', 'node_modules', 'jest', 'bin', 'jest.js');
const PACKAGES = ['client', 'embedded-postgres', 'server', 'testing', 'verifier'];
const INSTALLATION_DEADLINE_MS = 300_000;
const SUITE_DEADLINE_MS = 120_000;

const itWithPython = spawnSync('python3', ['--version']).status === 0 ? it : it.skip;
const itWithChromium = existsSync('/usr/bin/chromium') ? it : it.skip;

/** Samples that another team copies, over the packages as they are published. */
describe('a sample suite of another team passes, with the packed packages:', () => {
  beforeAll(async () => {
    const archives = await mkdtemp(join(tmpdir(), 'ratchet-samples-'));
    await Promise.all([
      node('scripts/install-if-needed.mjs', 'examples/e2e/jest'),
      node('scripts/install-if-needed.mjs', 'examples/e2e/playwright'),
      node('scripts/install-if-needed.mjs', 'test/package-tools'),
      node('scripts/pack.mjs', '--into', archives),
    ]);
    for (const sample of ['jest', 'node-test', 'playwright', 'python', 'vitest']) {
      await unpack(archives, join(SAMPLES, sample, 'node_modules'));
    }
    await rm(archives, { recursive: true });
  }, INSTALLATION_DEADLINE_MS);

  it(
    'Jest 30, Nest 11, CommonJS',
    async () => {
      const { stderr } = await npmTest('jest');
      expect(stderr).toMatch(/^Tests: +7 passed, 7 total$/m);
    },
    SUITE_DEADLINE_MS,
  );

  it(
    'Jest 29, Nest 11, CommonJS',
    async () => {
      const { stderr } = await run('jest', 'node', JEST_29);
      expect(stderr).toMatch(/^Tests: +7 passed, 7 total$/m);
    },
    SUITE_DEADLINE_MS,
  );

  it(
    'Vitest, Nest 12, ES modules',
    async () => {
      const { stdout } = await npmTest('vitest');
      expect(stdout).toMatch(/^ +Tests +7 passed \(7\)$/m);
    },
    SUITE_DEADLINE_MS,
  );

  it(
    'node:test, below ratchet-test',
    async () => {
      const { stdout } = await npmTest('node-test');
      expect(stdout).toMatch(/^\S+ pass 5$/m);
      expect(stdout).toMatch(/^\S+ fail 0$/m);
    },
    SUITE_DEADLINE_MS,
  );

  itWithChromium(
    'Playwright, a page in Chromium',
    async () => {
      const { stdout } = await npmTest('playwright');
      expect(stdout).toMatch(/^ +4 passed/m);
    },
    SUITE_DEADLINE_MS,
  );

  itWithPython(
    'unittest of Python over HTTP, below ratchet-test',
    async () => {
      const { stderr } = await npmTest('python');
      expect(stderr).toMatch(/^Ran 6 tests in .*\n\nOK$/m);
    },
    SUITE_DEADLINE_MS,
  );
});

/** As the archive's installation does, without a package manager: what the packages depend on is in the checkout. */
async function unpack(archives: string, modules: string): Promise<void> {
  await rm(join(modules, '@ratchet'), { recursive: true, force: true });
  await mkdir(join(modules, '.bin'), { recursive: true });
  for (const archive of await readdir(archives)) {
    const name = PACKAGES.find((each) => archive.startsWith(`ratchet-${each}-`)) ?? '';
    const folder = join(modules, '@ratchet', name);
    await mkdir(folder, { recursive: true });
    const unpacked = await runCommand('tar', ['-xzf', join(archives, archive), '--strip-components', '1'], {
      workingDirectory: folder,
    });
    expect(unpacked).toMatchObject({ exitCode: 0 });
  }
  const program = join(modules, '@ratchet', 'testing', 'dist', 'cli.js');
  await chmod(program, 0o755);
  await rm(join(modules, '.bin', 'ratchet-test'), { force: true });
  await symlink(program, join(modules, '.bin', 'ratchet-test'));
}

async function node(...args: string[]): Promise<void> {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  expect(
    await runCommand('node', args, { workingDirectory: CHECKOUT, environment, withinMs: INSTALLATION_DEADLINE_MS }),
  ).toMatchObject({ exitCode: 0 });
}

function npmTest(sample: string): Promise<CommandResult> {
  return run(sample, 'npm', 'test');
}

async function run(sample: string, program: string, ...args: string[]): Promise<CommandResult> {
  const result = await runCommand(program, args, {
    workingDirectory: join(SAMPLES, sample),
    environment: { npm_config_update_notifier: 'false', NO_COLOR: '1' },
    withinMs: SUITE_DEADLINE_MS,
  });
  expect(result, `${result.stdout}\n${result.stderr}`).toMatchObject({ exitCode: 0 });
  return result;
}
