import type { User } from '../users/users.types.js';
import { type Column, textTable } from './text-table.js';

const COLUMNS: readonly Column<User>[] = [
  { heading: 'EMAIL', cell: ({ email }) => email },
  // Every command takes the e-mail as well.
  { heading: 'ID', cell: ({ id }) => id, isOptional: true },
  { heading: 'STATUS', cell: ({ status }) => status },
  { heading: 'ROLES', cell: ({ roles }) => (roles.length === 0 ? '-' : roles.join(',')) },
  { heading: 'CREATED', cell: ({ createdAt }) => createdAt.toISOString() },
];

/** An account for programs, with the names and formats of the HTTP API. */
export interface UserJson {
  readonly id: string;
  readonly email: string;
  readonly status: User['status'];
  readonly roles: readonly string[];
  readonly created_at: Date;
}

/**
 * Renders accounts for people.
 *
 * @param width of the terminal, in columns
 */
export function usersTable(users: readonly User[], width: number): string {
  return textTable(COLUMNS, users, width);
}

export function userJson({ id, email, status, roles, createdAt }: User): UserJson {
  return { id, email, status, roles, created_at: createdAt };
}
