// Installs what a folder with a package.json of its own names, as bench/ and test/openapi-tools. Does nothing if it is
// installed, and waits while another process installs there: two at once would remove each other's files.
// Usage: node scripts/install-if-needed.mjs <folder>
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
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

const lock = here('.installing');

function takeLock() {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') {
      return false;
    }
    throw error;
  }
}

/** A process that was killed leaves the lock behind. */
function removeLockOfTheDead() {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')), 0);
  } catch (error) {
    if (error.code === 'ESRCH') {
      rmSync(lock, { force: true });
    }
  }
}

while (!isInstalled()) {
  if (!takeLock()) {
    removeLockOfTheDead();
    await sleep(200);
    continue;
  }
  try {
    // Another may have installed before the lock was free.
    if (isInstalled()) {
      break;
    }
    console.error(`Installing the packages of ${name}…`);
    // None of the packages needs an install script.
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit'], {
      cwd: folder,
      stdio: 'inherit',
      shell: process.platform === 'win32',
    });
    process.exitCode = status ?? 1;
    break;
  } finally {
    rmSync(lock, { force: true });
  }
}
