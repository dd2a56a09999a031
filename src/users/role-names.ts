import { ROLE_NAME } from '../platform/common/role-name.js';

const MAX_ROLES = 32;

/**
 * @returns sorted and without duplicates, so that equal sets are equal arrays; undefined when a name is not a role name
 *   or there are more than 32
 */
export function parseRoleNames(names: readonly string[]): string[] | undefined {
  const distinct = [...new Set(names)].sort();
  return distinct.length <= MAX_ROLES && distinct.every((name) => ROLE_NAME.test(name)) ? distinct : undefined;
}
