import { describe, expect, it } from 'vitest';
import { parseRoleNames } from './role-names.js';

describe('parseRoleNames', () => {
  it('sorts and removes duplicates', () => {
    expect(parseRoleNames(['reader', 'admin', 'reader'])).toEqual(['admin', 'reader']);
  });

  it('accepts the whole alphabet, 64 characters and no roles at all', () => {
    expect(parseRoleNames(['a-z_0.9:x'])).toEqual(['a-z_0.9:x']);
    expect(parseRoleNames(['r'.repeat(64)])).toEqual(['r'.repeat(64)]);
    expect(parseRoleNames([])).toEqual([]);
  });

  it.each(['', 'r'.repeat(65), 'Admin', 'two words', 'a,b', 'admin\n', 'admin\r\nx-user: root', 'rôle', 'a\u0000'])(
    'refuses %j, which a header or a claim could read differently',
    (name) => {
      expect(parseRoleNames(['reader', name])).toBeUndefined();
    },
  );

  it('accepts 32 different roles and refuses 33', () => {
    const names = Array.from({ length: 33 }, (_, index) => `role-${index}`);
    expect(parseRoleNames(names.slice(0, 32))).toHaveLength(32);
    expect(parseRoleNames([...names.slice(0, 32), 'role-0'])).toHaveLength(32);
    expect(parseRoleNames(names)).toBeUndefined();
  });

  it('accepts names of 1,024 characters together, with a space between two, and refuses one more', () => {
    const names = Array.from({ length: 15 }, (_, index) => String(index).padStart(64, 'r'));
    expect([...names, 'r'.repeat(49)].join(' ')).toHaveLength(1_024);
    expect(parseRoleNames([...names, 'r'.repeat(49)])).toHaveLength(16);
    expect(parseRoleNames([...names, 'r'.repeat(50)])).toBeUndefined();
  });
});
