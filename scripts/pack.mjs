// Makes an installable archive of a package and prints its path. Installs what builds it if need be.
// Usage: npm run -s pack:verifier
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './stale.mjs';

const [name] = process.argv.slice(2);
const folder = join(root, 'packages', name);

/** Only the path is on standard output. */
function npm(...args) {
  const { status, stdout } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 'pipe', 2], encoding: 'utf8' });
  if (status !== 0) {
    console.error(`npm ${args[0]} has failed in ${folder}`);
    process.exit(1);
  }
  return stdout.trim().split('\n').at(-1);
}

if (!existsSync(join(root, 'node_modules', 'typescript'))) {
  npm('ci', '--prefix', root, '--ignore-scripts', '--no-audit', '--no-fund');
}
console.log(join(folder, npm('pack', '--silent')));
