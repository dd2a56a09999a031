import { readFileSync } from 'node:fs';
import { transform } from '@swc/core';
import { defineConfig } from 'vitest/config';

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

export default defineConfig({
  plugins: [swc],
  oxc: false,
  test: {
    pool: 'forks',
    maxWorkers: 2,
    // A process runs many spec files and loads each module once. What a module keeps is shared between spec files.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The global tear-down reads every table of every database.
    teardownTimeout: 60_000,
    slowTestThreshold: 5_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.spec.ts', 'packages/verifier/src/**/*.spec.ts'] },
      },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/**/*.e2e-spec.ts'], globalSetup: 'test/support/global-setup.mjs' },
      },
    ],
  },
});
