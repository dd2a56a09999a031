// Installs what a folder with a package.json of its own names, as bench/ and test/openapi-tools. Does nothing if it is
// installed. Usage: node scripts/install-if-needed.mjs <folder>
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [name = ''] = process.argv.slice(2);
const folder = resolve(fileURLToPath(new URL('..', import.meta.url)), name);
const here = (path) => join(folder, path);

/** npm keeps a copy of what it has installed beside it; the copy lacks the packages of other platforms. */
function isInstalled() {
  if (!existsSync(here('node_modules/.package-lock.json'))) {
    return false;
  }
  const read = (path) => JSON.parse(readFileSync(here(path), 'utf8')).packages;
  const [wanted, installed] = [read('package-lock.json'), read('node_modules/.package-lock.json')];
  return Object.entries(wanted).every(
    ([name, { version, optional }]) => name === '' || optional === true || installed[name]?.version === version,
  );
}

if (!isInstalled()) {
  console.error(`Installing the packages of ${name}…`);
  // None of the packages needs an install script.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit'], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
}
