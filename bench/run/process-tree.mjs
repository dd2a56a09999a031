import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

const canRead = process.platform === 'linux';
const ticksPerSecond = canRead ? Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) : 0;
const pageBytes = canRead ? Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' })) : 0;

/**
 * Returns what a process and all its descendants have used: CPU seconds, including those of descendants that have
 * ended, and the memory they hold now. Undefined where there is no /proc.
 *
 * @returns {{cpuSeconds: number, residentBytes: number} | undefined} pages that processes share are counted in each
 */
export function usageOf(rootPid) {
  if (!canRead) {
    return undefined;
  }
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => readProcess(Number(pid)));
  const tree = new Set([rootPid]);
  // A child's id may be lower than its parent's: repeat until no process is added.
  for (let size = 0; size !== tree.size;) {
    size = tree.size;
    processes.filter(({ parent }) => tree.has(parent)).forEach(({ pid }) => tree.add(pid));
  }
  const members = processes.filter(({ pid }) => tree.has(pid));
  return {
    cpuSeconds: members.reduce((sum, { ticks }) => sum + ticks, 0) / ticksPerSecond,
    residentBytes: members.reduce((sum, { pages }) => sum + pages, 0) * pageBytes,
  };
}

/** proc(5): the name stands in parentheses and may hold anything, so the fields are counted from the last one. */
function readProcess(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
    return [{ pid, parent: Number(fields[1]), ticks: utime + stime + cutime + cstime, pages: Number(fields[21]) }];
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
