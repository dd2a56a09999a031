import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The processes that run over this data directory, by what the operating system says and not by any file of ours. */
export async function postgresProcessesOf(dataDir: string): Promise<number[]> {
  const clusterDir = join(dataDir, 'postgres', 'data');
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,command=']);
    return stdout
      .split('\n')
      .filter((line) => line.includes(`-D ${clusterDir} `))
      .map((line) => parseInt(line, 10));
  }
  const cluster = await stat(clusterDir).catch(() => undefined);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(pids.map((pid) => stat(`/proc/${pid}/cwd`).catch(() => undefined)));
  return pids
    .filter(
      (_, index) => cluster !== undefined && folders[index]?.ino === cluster.ino && folders[index].dev === cluster.dev,
    )
    .map(Number);
}
