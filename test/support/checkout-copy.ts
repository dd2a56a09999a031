import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkoutDir = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Makes a folder that runs as this checkout does, built, without what a developer may have put into it (`.env`,
 * `.ratchet`). It has no sources, so that nothing is built there.
 *
 * @param without an entry of `node_modules` that is not installed there
 */
export async function copyCheckout(folder: string, { without }: { readonly without?: string } = {}): Promise<void> {
  for (const name of ['dist', 'scripts', 'package.json']) {
    await cp(join(checkoutDir, name), join(folder, name), { recursive: true });
  }
  const installed = join(checkoutDir, 'node_modules');
  await mkdir(join(folder, 'node_modules'));
  for (const name of (await readdir(installed)).filter((name) => name !== without)) {
    await symlink(join(installed, name), join(folder, 'node_modules', name));
  }
}
