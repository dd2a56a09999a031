import { KeyRotationService } from '../../src/keys/key-rotation.service.js';
import { KeysService } from '../../src/keys/keys.service.js';
import type { TestDatabase } from './test-database.js';
import type { TestService } from './test-service.js';

export interface KeyRow {
  readonly kid: string;
  readonly algorithm: string;
  readonly status: string;
}

type Running = Pick<TestService, 'app'>;

/** The oldest first. */
export function readKeyRows(database: Pick<TestDatabase, 'sql'>): Promise<KeyRow[]> {
  return database.sql<KeyRow>('select kid, algorithm, status from signing_keys order by created_at, kid');
}

export async function kidOf(database: Pick<TestDatabase, 'sql'>, status: string): Promise<string> {
  const kids = (await readKeyRows(database)).filter((row) => row.status === status).map(({ kid }) => kid);
  const [kid] = kids;
  if (kid === undefined || kids.length > 1) {
    throw new Error(`${kids.length} keys are ${status}`);
  }
  return kid;
}

/** Makes every key look as if everything in its life had happened that much earlier. */
export async function ageKeys(database: Pick<TestDatabase, 'sql'>, bySeconds: number): Promise<void> {
  await database.sql(
    `update signing_keys
     set created_at = created_at - make_interval(secs => $1), activated_at = activated_at - make_interval(secs => $1),
         retiring_at = retiring_at - make_interval(secs => $1)`,
    [bySeconds],
  );
}

/** What every instance does once a minute, at the same time. */
export async function tickAll(services: readonly Running[]): Promise<void> {
  await Promise.all(services.map(({ app }) => app.get(KeyRotationService).tick()));
}

/** What every instance does every ten seconds. */
export async function reloadAll(services: readonly Running[]): Promise<void> {
  await Promise.all(services.map(({ app }) => app.get(KeysService).reload()));
}
