import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { transform } from '@swc/core';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';

const { exclude: _specs, ...build } = JSON.parse(readFileSync(new URL('.swcrc', import.meta.url), 'utf8'));

/** Compiles as the build does. Vite's own compiler is off: it would emit other metadata for Nest's decorators. */
const swc = {
  name: 'swc',
  enforce: 'pre',
  transform(code, id) {
    const [filename] = id.split('?');
    return filename.endsWith('.ts')
      ? transform(code, { ...build, module: { type: 'es6' }, swcrc: false, filename })
      : undefined;
  },
};

const MEMORY = '/dev/shm';
const LARGEST_RUN_BYTES = 6 * 2 ** 30;

/** Clusters are made and started all the time, and with their files in memory nothing waits for the disk. */
function isMemoryUsable() {
  const mounts = existsSync('/proc/mounts') ? readFileSync('/proc/mounts', 'utf8') : '';
  const [, options = 'noexec'] = new RegExp(`^\\S+ ${MEMORY} tmpfs (\\S+)`, 'm').exec(mounts) ?? [];
  if (options.split(',').some((option) => option === 'noexec' || option === 'ro')) {
    return false;
  }
  const { bavail, bsize } = statfsSync(MEMORY);
  return bavail * bsize > LARGEST_RUN_BYTES;
}

// Workers and what they start inherit it.
if (process.env['TMPDIR'] === undefined && isMemoryUsable()) {
  process.env['TMPDIR'] = MEMORY;
}

/** Longest first, so that no worker begins one of these while the others have nothing left. */
const LONG_SPECS = [
  'users-command',
  'crash',
  'keys-command',
  'embedded-postgres',
  'unknown-outcomes',
  'verifier',
  'packages',
  'browser-client',
  'kit-samples',
  'spa-mail',
  'spa',
];

class LongestFirst extends BaseSequencer {
  async sort(specs) {
    const rank = ({ moduleId }) => LONG_SPECS.findLastIndex((name) => moduleId.includes(`/${name}.`));
    return (await super.sort(specs)).sort((one, other) => rank(other) - rank(one));
  }
}

export default defineConfig({
  plugins: [swc],
  oxc: false,
  test: {
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // A process runs many spec files and loads each module once. What a module keeps is shared between spec files.
    isolate: false,
    // Node itself loads what is built.
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The global tear-down reads every table of every database.
    teardownTimeout: 60_000,
    slowTestThreshold: 5_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.spec.ts', 'packages/{client,testing,verifier}/src/**/*.spec.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e-spec.ts'],
          globalSetup: 'test/support/global-setup.mjs',
          // More than the cores of the smallest machine, because these tests wait for half of their time.
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
