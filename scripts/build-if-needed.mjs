// Builds the embedded PostgreSQL and what is named, the service by default, when its dist/ does not hold the complete result of what stands in the
// checkout now; says nothing otherwise.
// Usage: node scripts/build-if-needed.mjs [service | verifier]...
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const lock = join(root, 'node_modules', '.cache', 'ratchet-build.lock');
const lockPatienceMs = 120_000;

const TARGETS = {
  service: {
    sources: 'src',
    output: 'dist/main.js',
    stamp: 'dist/.built-from',
    tool: ['@nestjs/cli', 'bin/nest.js'],
    arguments: ['build'],
    settings: ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'nest-cli.json', '.swcrc'],
  },
  'embedded-postgres': {
    sources: 'packages/embedded-postgres/src',
    output: 'packages/embedded-postgres/dist/index.js',
    stamp: 'node_modules/.cache/ratchet-embedded-postgres-built-from',
    tool: ['typescript', 'bin/tsc'],
    arguments: ['-p', 'packages/embedded-postgres/tsconfig.build.json'],
    settings: ['package-lock.json', 'tsconfig.json', 'packages/embedded-postgres/tsconfig.build.json'],
  },
  verifier: {
    sources: 'packages/verifier/src',
    output: 'packages/verifier/dist/index.js',
    // Beside dist/ and not in it, which is published.
    stamp: 'node_modules/.cache/ratchet-verifier-built-from',
    tool: ['typescript', 'bin/tsc'],
    arguments: ['-p', 'packages/verifier/tsconfig.build.json'],
    settings: ['package-lock.json', 'tsconfig.json', 'packages/verifier/tsconfig.build.json'],
  },
};

/** Names, sizes and times rather than the newest time: it also shows deleted files and restored older ones. */
function fingerprint({ sources, settings }) {
  const hash = createHash('sha256');
  const files = readdirSync(join(root, sources), { recursive: true }).map((name) => join(sources, name));
  for (const name of [...files.sort(), ...settings]) {
    const file = statSync(join(root, name), { throwIfNoEntry: false });
    if (file === undefined || file.isFile()) {
      hash.update(`${name}\0${file?.size}\0${file?.mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

function isBuilt(target) {
  const stamp = join(root, target.stamp);
  return (
    existsSync(join(root, target.output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(target)
  );
}

function findBuildTool({ tool: [name, path] }) {
  try {
    const manifest = createRequire(join(root, 'package.json')).resolve(`${name}/package.json`);
    return join(dirname(manifest), path);
  } catch {
    return undefined;
  }
}

function build(target, tool) {
  console.error('Building…');
  const builtFrom = fingerprint(target);
  const stamp = join(root, target.stamp);
  rmSync(stamp, { force: true });
  const { status, stdout, stderr } = spawnSync(process.execPath, [tool, ...target.arguments], {
    cwd: root,
    encoding: 'utf8',
  });
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

function buildAlone(target) {
  const tool = findBuildTool(target);
  if (tool === undefined) {
    console.error('The service has to be built, and the build tools are not installed: run npm ci without --omit=dev.');
    return 1;
  }
  takeLock();
  try {
    return isBuilt(target) ? 0 : build(target, tool);
  } finally {
    rmSync(lock, { force: true });
  }
}

const asked = process.argv.slice(2);
for (const name of ['embedded-postgres', ...(asked.length > 0 ? asked : ['service'])]) {
  const target = TARGETS[name];
  // An image carries dist/ without its sources.
  if (existsSync(join(root, target.sources)) && !isBuilt(target)) {
    process.exitCode ||= buildAlone(target);
  }
}
