import { describe, expect, it } from 'vitest';
import type { User } from '../users/users.types.js';
import { usersTable } from './users.table.js';

const ada: User = {
  id: '0190b5a2-0000-4000-8000-000000000001',
  email: 'ada@example.com',
  isEmailVerified: false,
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
    expect(usersTable([ada, bo], Infinity).split('\n')).toEqual([
      'EMAIL            ID                                    STATUS    ROLES         CREATED',
      'ada@example.com  0190b5a2-0000-4000-8000-000000000001  active    admin,editor  2026-01-02T03:04:05.678Z',
      'b@x.org          0190b5a2-0000-4000-8000-000000000002  disabled  -             2026-01-02T03:04:05.678Z',
    ]);
  });

  it('leaves out the ids on a terminal that is too narrow for them', () => {
    expect(usersTable([ada, bo], 80).split('\n')).toEqual([
      'EMAIL            STATUS    ROLES         CREATED',
      'ada@example.com  active    admin,editor  2026-01-02T03:04:05.678Z',
      'b@x.org          disabled  -             2026-01-02T03:04:05.678Z',
    ]);
  });

  it('is a block for each account on a terminal that is narrower still', () => {
    expect(usersTable([ada, bo], 60)).toBe(
      `EMAIL    ada@example.com
ID       0190b5a2-0000-4000-8000-000000000001
STATUS   active
ROLES    admin,editor
CREATED  2026-01-02T03:04:05.678Z

EMAIL    b@x.org
ID       0190b5a2-0000-4000-8000-000000000002
STATUS   disabled
ROLES    -
CREATED  2026-01-02T03:04:05.678Z`,
    );
  });

  it('is its headings when there are no accounts', () => {
    expect(usersTable([], 80)).toBe('EMAIL  ID  STATUS  ROLES  CREATED');
  });
});
