// Makes installable archives of the packages that are named, of all by default, and prints their paths, one a line.
// Installs what builds them if need be.
// Usage: npm run -s pack [-- [--into <folder>] <name>...]     npm run -s pack:verifier
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from './stale.mjs';
import { endWithUsage, readArguments } from './usage.mjs';

const { values, positionals } = readArguments(import.meta.url, {
  allowPositionals: true,
  options: { into: { type: 'string' } },
});
const folder = join(root, 'packages');
const packages = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'package.json')));
const unknown = positionals.filter((name) => !packages.includes(name));
if (unknown.length > 0) {
  endWithUsage(import.meta.url, `There is no package ${unknown.join(', ')}, only ${packages.join(', ')}.`);
}

/** Only the paths are on standard output. */
function npm(...args) {
  const { status, stdout } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 'pipe', 2], encoding: 'utf8' });
  if (status !== 0) {
    console.error(`npm ${args[0]} has failed in ${folder}`);
    process.exit(1);
  }
  return stdout.trim().split('\n');
}

if (!existsSync(join(root, 'node_modules', 'typescript'))) {
  npm('ci', '--prefix', root, '--ignore-scripts', '--no-audit', '--no-fund');
}
const into = resolve(values.into ?? folder);
const named = positionals.length > 0 ? positionals : packages;
for (const archive of npm('pack', '--silent', '--pack-destination', into, ...named.map((name) => `./${name}`))) {
  console.log(join(into, archive));
}
