import { postgresProcessesOf } from './embedded/postgres-processes.js';

/** Tidies up after a test that has failed or has killed the owner: nothing of this data directory's server is left. */
export async function killPostgresOf(dataDir: string): Promise<void> {
  for (const pid of await postgresProcessesOf(dataDir)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended with its postmaster, which was first in the list.
    }
  }
}
