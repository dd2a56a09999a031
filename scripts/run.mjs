// Runs a program of dist/, built first if the sources have changed since the last build.
// Usage: node scripts/run.mjs <program> [argument]...
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isStale } from './stale.mjs';

const [program] = process.argv.splice(2, 1);
const stale = ['embedded-postgres', 'service'].filter(isStale);
const { status } =
  stale.length === 0
    ? { status: 0 }
    : spawnSync(process.execPath, [fileURLToPath(new URL('build.mjs', import.meta.url)), ...stale], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
if (status === 0) {
  await import(`../dist/${program}`);
} else {
  process.exitCode = 1;
}
