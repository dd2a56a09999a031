import type { User } from '../users/users.types.js';
import { textTable } from './text-table.js';

const HEADINGS = ['EMAIL', 'ID', 'STATUS', 'ROLES', 'CREATED'];

/** Renders one line per user under headings, for people. */
export function usersTable(users: readonly User[]): string {
  return textTable([HEADINGS, ...users.map(cellsOf)]);
}

/** Renders JSON for programs, with the names and formats of the HTTP API. */
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
