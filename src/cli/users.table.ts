import type { User } from '../users/users.types.js';

const HEADINGS = ['EMAIL', 'ID', 'STATUS', 'ROLES', 'CREATED'];
const GAP = '  ';

/** For people: one line per user under headings, columns as wide as their widest cell. */
export function usersTable(users: readonly User[]): string {
  const rows = [HEADINGS, ...users.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n');
}

/** For programs: members named and written as the HTTP interface does. */
export function usersJson(users: readonly User[]): string {
  return JSON.stringify(
    users.map(({ id, email, status, roles, createdAt }) => ({
      id,
      email,
      status,
      roles,
      created_at: createdAt.toISOString(),
    })),
    undefined,
    2,
  );
}

function cellsOf({ email, id, status, roles, createdAt }: User): string[] {
  return [email, id, status, roles.length === 0 ? '-' : roles.join(','), createdAt.toISOString()];
}
