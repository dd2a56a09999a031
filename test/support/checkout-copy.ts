import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkoutDir = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Makes a folder that runs as this checkout does, built, without what a developer may have put into it (`.env`,
 * `.ratchet`). It has no sources, so that nothing is built there.
 */
export async function copyCheckout(folder: string): Promise<void> {
  for (const name of ['dist', 'scripts', 'package.json']) {
    await cp(join(checkoutDir, name), join(folder, name), { recursive: true });
  }
  await symlink(join(checkoutDir, 'node_modules'), join(folder, 'node_modules'));
}
