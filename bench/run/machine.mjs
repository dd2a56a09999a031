import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { median } from './statistics.mjs';

const FSYNCS = 100;

/** Describes the machine, on which the numbers depend. */
export function describeMachine(dataDir) {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    fsyncMs: medianFsyncMs(dataDir),
    loadAverageBefore: Math.round(loadavg()[0] * 100) / 100,
  };
}

export function describeSources(root) {
  try {
    const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
    return { commit: git('rev-parse', '--short=12', 'HEAD'), isModified: git('status', '--porcelain') !== '' };
  } catch {
    return { commit: undefined, isModified: undefined };
  }
}

/** Writes one page and syncs it to the disk: the least that a commit takes. */
function medianFsyncMs(directory) {
  const path = join(directory, 'fsync-probe');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(8_192, 1);
  const times = Array.from({ length: FSYNCS }, (_, index) => {
    writeSync(file, page, 0, page.length, index * page.length);
    const startedAt = performance.now();
    fdatasyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  rmSync(path);
  return Math.round(median(times) * 1_000) / 1_000;
}
