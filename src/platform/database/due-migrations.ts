import { MIGRATIONS } from './migrations.js';

/** Returns the migrations of this build that have not been applied, in the order in which they run. */
export function dueMigrations(appliedNames: Iterable<string>): string[] {
  const applied = new Set(appliedNames);
  return MIGRATIONS.map(({ name }) => name).filter((name) => !applied.has(name));
}
