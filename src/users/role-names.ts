import { ROLE_NAME } from '../platform/common/role-name.js';

const MAX_ROLES = 32;

/**
 * The claim `scope` and the identity headers repeat all names, beside the claim `roles`. With this many characters a token
 * has less than 4 KiB and so has an answer of `/auth/verify`, which is what nginx and other gateways take by default.
 */
const MAX_JOINED_CHARACTERS = 1_024;

/**
 * @returns sorted and without duplicates, so that equal sets are equal arrays; undefined when a name is not a role name,
 *   there are more than 32, or they have more than 1,024 characters together, with a space between two
 */
export function parseRoleNames(names: readonly string[]): string[] | undefined {
  const distinct = [...new Set(names)].sort();
  const isShort = distinct.length <= MAX_ROLES && distinct.join(' ').length <= MAX_JOINED_CHARACTERS;
  return isShort && distinct.every((name) => ROLE_NAME.test(name)) ? distinct : undefined;
}
