const MAX_ROLES = 32;
const ROLE_NAME = /^[a-z0-9_.:-]{1,64}$/;

/**
 * Roles end up in headers and space-separated claims, hence the narrow alphabet; the table has the same constraint.
 *
 * @returns sorted and without duplicates, so that equal sets are equal arrays; or undefined when a name is not of the
 * alphabet or there are more than 32
 */
export function parseRoleNames(names: readonly string[]): string[] | undefined {
  const distinct = [...new Set(names)].sort();
  return distinct.length <= MAX_ROLES && distinct.every((name) => ROLE_NAME.test(name)) ? distinct : undefined;
}
