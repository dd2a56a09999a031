import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Where a container's limit stands: cgroup version 2, or the quota and the period of version 1. */
const LIMIT_FILE = '/sys/fs/cgroup/cpu.max';
const LIMIT_FILES_V1 = ['/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '/sys/fs/cgroup/cpu/cpu.cfs_period_us'];

/**
 * How many cores this process may keep busy: those it may be scheduled on, or fewer when its container has a quota,
 * which `os.availableParallelism()` does not know of.
 *
 * @returns at least 1, a quota of one and a half cores counted as one
 */
export function usableCores(readText: (path: string) => string = readIfThere): number {
  const quota = coresOfQuota(readText(LIMIT_FILE)) ?? coresOfQuota(LIMIT_FILES_V1.map(readText).join(' '));
  return Math.max(1, Math.min(availableParallelism(), Math.floor(quota ?? Number.POSITIVE_INFINITY)));
}

/** @param text quota and period in microseconds; `max` or -1 for no quota */
function coresOfQuota(text: string): number | undefined {
  const [quota = '', period = ''] = text.trim().split(/\s+/);
  return /^[1-9]\d*$/.test(quota) && /^[1-9]\d*$/.test(period) ? Number(quota) / Number(period) : undefined;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
