import { describe, expect, it } from 'vitest';
import type { User } from '../users/users.types.js';
import { usersJson, usersTable } from './users.table.js';

const ada: User = {
  id: '0190b5a2-0000-4000-8000-000000000001',
  email: 'ada@example.com',
  status: 'active',
  roles: ['admin', 'editor'],
  createdAt: new Date('2026-01-02T03:04:05.678Z'),
};
const bo: User = {
  ...ada,
  id: '0190b5a2-0000-4000-8000-000000000002',
  email: 'b@x.org',
  status: 'disabled',
  roles: [],
};

describe('the list of users', () => {
  it('is a table whose columns line up, without spaces at the end of a line', () => {
    expect(usersTable([ada, bo]).split('\n')).toEqual([
      'EMAIL            ID                                    STATUS    ROLES         CREATED',
      'ada@example.com  0190b5a2-0000-4000-8000-000000000001  active    admin,editor  2026-01-02T03:04:05.678Z',
      'b@x.org          0190b5a2-0000-4000-8000-000000000002  disabled  -             2026-01-02T03:04:05.678Z',
    ]);
  });

  it('is for programs an array that names members as the HTTP interface does', () => {
    expect(JSON.parse(usersJson([bo]))).toEqual([
      {
        id: '0190b5a2-0000-4000-8000-000000000002',
        email: 'b@x.org',
        status: 'disabled',
        roles: [],
        created_at: '2026-01-02T03:04:05.678Z',
      },
    ]);
    expect(usersJson([])).toBe('[]');
  });
});
