// Builds when dist/ does not hold the complete result of what stands in the checkout now; says nothing otherwise.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'dist', 'main.js');
const stamp = join(root, 'dist', '.built-from');
const lock = join(root, 'node_modules', '.cache', 'ratchet-build.lock');
const settings = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'nest-cli.json',
  '.swcrc',
];
const lockPatienceMs = 120_000;

/** Names, sizes and times rather than the newest time: it also shows deleted files and restored older ones. */
function fingerprint() {
  const hash = createHash('sha256');
  const sources = readdirSync(join(root, 'src'), { recursive: true }).map((name) => join('src', name));
  for (const name of [...sources.sort(), ...settings]) {
    const file = statSync(join(root, name), { throwIfNoEntry: false });
    if (file === undefined || file.isFile()) {
      hash.update(`${name}\0${file?.size}\0${file?.mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

function isBuilt() {
  return existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint();
}

function findBuildTool() {
  try {
    const manifest = createRequire(join(root, 'package.json')).resolve('@nestjs/cli/package.json');
    return join(dirname(manifest), 'bin', 'nest.js');
  } catch {
    return undefined;
  }
}

function build(nest) {
  console.error('Building…');
  const builtFrom = fingerprint();
  rmSync(stamp, { force: true });
  const { status, stdout, stderr } = spawnSync(process.execPath, [nest, 'build'], { cwd: root, encoding: 'utf8' });
  if (status === 0) {
    writeFileSync(stamp, builtFrom);
  } else {
    console.error(`${stdout}${stderr}`.trim());
  }
  return status ?? 1;
}

/** Two starts at the same time must not empty dist/ under each other. */
function takeLock() {
  mkdirSync(dirname(lock), { recursive: true });
  for (let waitedMs = 0; ; waitedMs += 50) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw error;
      }
    }
    if (waitedMs >= lockPatienceMs || !isHolderAlive()) {
      rmSync(lock, { force: true });
    } else {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
}

function isHolderAlive() {
  try {
    const holder = Number(readFileSync(lock, 'utf8'));
    // Written in two steps; an empty file is one that is being written.
    return holder === 0 || process.kill(holder, 0);
  } catch (error) {
    // Gone means released: the next attempt decides.
    return error.code === 'EPERM' || error.code === 'ENOENT';
  }
}

function buildAlone() {
  const nest = findBuildTool();
  if (nest === undefined) {
    console.error('The service has to be built, and the build tools are not installed: run npm ci without --omit=dev.');
    return 1;
  }
  takeLock();
  try {
    return isBuilt() ? 0 : build(nest);
  } finally {
    rmSync(lock, { force: true });
  }
}

// An image carries dist/ without its sources.
if (existsSync(join(root, 'src')) && !isBuilt()) {
  process.exitCode = buildAlone();
}
