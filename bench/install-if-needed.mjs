// Installs the packages that are compared with the service into this folder. Does nothing if they are installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

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
  console.error('Installing the packages that are compared with the service into bench/…');
  // None of the packages needs an install script.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit'], {
    cwd: here('.'),
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
}
