import { describe, expect, it } from 'vitest';
import { meets, parseRequiredRoles } from './required-roles.js';

describe('X-Require-Role', () => {
  it.each([
    [undefined, []],
    ['admin', [['admin']]],
    [' admin ', [['admin']]],
    ['admin, billing', [['admin'], ['billing']]],
    ['admin|owner', [['admin', 'owner']]],
    ['admin | owner,billing:read', [['admin', 'owner'], ['billing:read']]],
  ])('%j is read as %j', (header, required) => {
    expect(parseRequiredRoles(header)).toEqual(required);
  });

  it.each(['', ' ', ',', 'admin,', '|admin', 'admin||owner', 'Admin', 'two words', 'a;b', 'a'.repeat(65), 'ä'])(
    '%j is bad syntax, which nobody meets',
    (header) => {
      expect(parseRequiredRoles(header)).toBeUndefined();
    },
  );

  it.each([
    [['admin'], [], true],
    [[], [], true],
    [['admin'], [['admin']], true],
    [['admin'], [['owner']], false],
    [['admin'], [['admin', 'owner']], true],
    [['admin'], [['admin'], ['owner']], false],
    [['owner', 'admin'], [['admin'], ['owner']], true],
    [[], [['admin']], false],
  ])('roles %j against %j: %s', (roles, required, expected) => {
    expect(meets(roles, required)).toBe(expected);
  });

  it('never gets weaker by a value that a client put in front', () => {
    expect(meets(['user'], parseRequiredRoles('user, admin') ?? [['nobody']])).toBe(false);
  });
});
