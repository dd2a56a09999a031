import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Gets the bundle of the service. A checkout without it, such as a container's, is complete. */
export const serverPackage = 'packages/server';

function packageTarget(name, ...settings) {
  return {
    sources: `packages/${name}/src`,
    settings: [
      'package-lock.json',
      'tsconfig.json',
      ...['tsconfig.build.json', ...settings].map((setting) => `packages/${name}/${setting}`),
    ],
    // Beside the package's dist, which is published.
    stamps: [`packages/${name}/.built-from`],
  };
}

/** What can be built: its sources, what else decides about the result, and where the fingerprints of both are kept. */
const TARGETS = {
  service: {
    sources: 'src',
    settings: ['package-lock.json', '.swcrc', 'scripts/build.mjs', 'scripts/licences.mjs'],
    stamps: ['dist/.built-from', ...(existsSync(join(root, serverPackage)) ? [`${serverPackage}/.built-from`] : [])],
  },
  client: packageTarget('client', 'tsconfig.cjs.json'),
  'embedded-postgres': packageTarget('embedded-postgres'),
  testing: packageTarget('testing'),
  verifier: packageTarget('verifier'),
};

export const targetNames = Object.keys(TARGETS);

/** Returns the compiled files of a folder, relative to it. */
export function sourcesIn(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.m?ts$|\.mjs$|\.eta$/.test(name) && !name.endsWith('.spec.ts'))
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
  const { sources, stamps } = TARGETS[target];
  if (!existsSync(join(root, sources))) {
    return false;
  }
  const current = fingerprint(target);
  return stamps
    .map((stamp) => join(root, stamp))
    .some((stampFile) => !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== current);
}

/** Runs a build; one that fails or is killed leaves the target stale. */
export async function stamped(target, build) {
  const stampFiles = TARGETS[target].stamps.map((stamp) => join(root, stamp));
  const builtFrom = fingerprint(target);
  for (const stampFile of stampFiles) {
    rmSync(stampFile, { force: true });
  }
  await build();
  for (const stampFile of stampFiles) {
    mkdirSync(dirname(stampFile), { recursive: true });
    writeFileSync(stampFile, builtFrom);
  }
}
