import type { WorkersConfig } from '../config/config.js';
import { usableCores } from './usable-cores.js';

/** How many processes serve; with `auto` one per usable core. */
export function workerCount({ count }: WorkersConfig, cores = usableCores()): number {
  return count === 'auto' ? cores : count;
}

/** @returns how many cores each of them may keep busy, at least 1 */
export function coresPerWorker(workers: WorkersConfig, cores = usableCores()): number {
  return Math.max(1, Math.floor(cores / workerCount(workers, cores)));
}
