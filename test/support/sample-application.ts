import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeScratchFolder } from './gateway-process.js';
import { runCommand } from './run-command.js';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = join(CHECKOUT, 'examples/spa');
const INSTALLATION_DEADLINE_MS = 300_000;

/**
 * Builds `examples/spa` as it stands, installing what it needs if that is missing.
 *
 * @returns the locations that serve it, for nginx
 * @throws Error with the output of a step that fails
 */
export async function buildSampleApplication(): Promise<string> {
  const folder = await makeScratchFolder('spa');
  await run(CHECKOUT, 'scripts/install-if-needed.mjs', 'examples/spa');
  await run(SOURCES, 'node_modules/vite/bin/vite.js', 'build', '--emptyOutDir', '--outDir', folder);
  const locations = await readFile(join(SOURCES, 'gateway.conf'), 'utf8');
  return locations.replaceAll('/srv/spa', folder);
}

async function run(workingDirectory: string, ...args: readonly string[]): Promise<void> {
  const { PATH = '', HOME = '' } = process.env;
  const { exitCode, stdout, stderr } = await runCommand('node', args, {
    workingDirectory,
    environment: { PATH, HOME },
    withinMs: INSTALLATION_DEADLINE_MS,
  });
  if (exitCode !== 0) {
    throw new Error(`node ${args.join(' ')} has failed: ${stdout}${stderr}`);
  }
}
