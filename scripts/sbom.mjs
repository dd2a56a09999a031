// Prints the packages of a production install as a CycloneDX document: every package, of every platform.
// `npm sbom --omit dev` would leave out each package that a development tool depends on as well, NestJS itself included
// (npm/cli issue 7909); so everything is listed first, and what only development needs is left out here.
// Usage: npm run --silent sbom > sbom.json
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

readArguments(import.meta.url);

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Reads the lock file, so that the result does not depend on what is installed. */
function listEverything() {
  const { status, stdout, stderr } = spawnSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) {
    throw new Error(`npm sbom has failed: ${stderr}`);
  }
  return JSON.parse(stdout);
}

function isForDevelopmentOnly({ properties = [] }) {
  return properties.some(({ name, value }) => name === 'cdx:npm:package:development' && value === 'true');
}

const { metadata, components, dependencies, ...rest } = listEverything();
const shipped = components.filter((component) => !isForDevelopmentOnly(component));
const references = new Set([metadata.component['bom-ref'], ...shipped.map((component) => component['bom-ref'])]);
const document = {
  ...rest,
  // npm names the project after its folder.
  metadata: { ...metadata, component: { ...metadata.component, name: 'ratchet' } },
  components: shipped,
  dependencies: dependencies
    .filter(({ ref }) => references.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => references.has(each)) })),
};
process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
