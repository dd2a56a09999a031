import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { usableCores } from './cores.js';

const all = availableParallelism();

function withFiles(files: Readonly<Record<string, string>>): number {
  return usableCores((path) => files[path.replace('/sys/fs/cgroup/', '')] ?? '');
}

describe('the cores that a process may keep busy', () => {
  it.each([
    ['no cgroup', {}],
    ['no quota', { 'cpu.max': 'max 100000\n' }],
    ['no quota, version 1', { 'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000\n' }],
    ['a quota of more than there are', { 'cpu.max': '6400000 100000\n' }],
    ['a file of rubbish', { 'cpu.max': 'rubbish' }],
    ['a quota without its period', { 'cpu/cpu.cfs_quota_us': '100000\n' }],
  ])('are all of them with %s', (_what, files) => {
    expect(withFiles(files)).toBe(all);
  });

  it.each([
    ['one core', { 'cpu.max': '100000 100000\n' }],
    ['half a core', { 'cpu.max': '50000 100000\n' }],
    ['one and a half', { 'cpu.max': '150000 100000\n' }],
    ['one core, version 1', { 'cpu/cpu.cfs_quota_us': '100000\n', 'cpu/cpu.cfs_period_us': '100000\n' }],
  ])('are one with a quota of %s', (_what, files) => {
    expect(withFiles(files)).toBe(1);
  });

  it('are read from where the system keeps them', () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(all);
  });
});
