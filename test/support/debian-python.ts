import { spawnSync } from 'node:child_process';

/** The interpreter that sees Debian's packages; another `python3` may come first in the path. */
export const DEBIAN_PYTHON = '/usr/bin/python3';

/** Says so when one of the modules is missing: what needs it has not been tried then. */
export function hasPythonModules(...names: readonly string[]): boolean {
  const hasAll = spawnSync(DEBIAN_PYTHON, ['-c', `import ${names.join(', ')}`]).status === 0;
  if (!hasAll) {
    process.stderr.write(`SKIPPED: ${DEBIAN_PYTHON} lacks one of ${names.join(', ')} (.ci/run installs them)\n`);
  }
  return hasAll;
}
