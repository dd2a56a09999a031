import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function packageTarget(name) {
  return {
    sources: `packages/${name}/src`,
    settings: ['package-lock.json', 'tsconfig.json', `packages/${name}/tsconfig.build.json`],
    // Beside the package's dist, which is published.
    stamp: `packages/${name}/.built-from`,
  };
}

/** What can be built: its sources, what else decides about the result, and where the fingerprint of both is kept. */
const TARGETS = {
  service: {
    sources: 'src',
    settings: ['package-lock.json', '.swcrc', 'scripts/build.mjs'],
    stamp: 'dist/.built-from',
  },
  'embedded-postgres': packageTarget('embedded-postgres'),
  testing: packageTarget('testing'),
  verifier: packageTarget('verifier'),
};

export const targetNames = Object.keys(TARGETS);

/** Returns the compiled files of a folder, relative to it. */
export function sourcesIn(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.m?ts$|\.mjs$/.test(name) && !name.endsWith('.spec.ts'))
    .sort();
}

/** Contents and not times: a copy, a checkout of the same commit and `npm prune` change nothing. */
export function fingerprint(target) {
  const { sources, settings } = TARGETS[target];
  const hash = createHash('sha256');
  for (const name of [...sourcesIn(sources).map((each) => join(sources, each)), ...settings]) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(root, name)))
      .update('\0');
  }
  return hash.digest('hex');
}

/** An image carries what was built without its sources, which is never stale. */
export function isStale(target) {
  const { sources, stamp } = TARGETS[target];
  const stampFile = join(root, stamp);
  return (
    existsSync(join(root, sources)) &&
    (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== fingerprint(target))
  );
}

/** Runs a build; one that fails or is killed leaves the target stale. */
export async function stamped(target, build) {
  const stampFile = join(root, TARGETS[target].stamp);
  const builtFrom = fingerprint(target);
  rmSync(stampFile, { force: true });
  await build();
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, builtFrom);
}
