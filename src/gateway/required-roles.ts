import { ROLE_NAME } from '../platform/common/role-name.js';

/** Every element must be met, each by any one of its names. */
export type RequiredRoles = readonly (readonly string[])[];

/**
 * Reads `X-Require-Role`. Commas, and several header lines, mean all of; `|` means any of. So a client that sends the
 * header too can only make its own request stricter, even behind a gateway that appends its value to the client's.
 *
 * @param header the lines joined by commas, as Node does; undefined when there is none
 * @returns undefined for bad syntax, which no user meets
 */
export function parseRequiredRoles(header: string | undefined): RequiredRoles | undefined {
  if (header === undefined) {
    return [];
  }
  const required = header.split(',').map((term) => term.split('|').map((name) => name.trim()));
  return required.every((names) => names.every((name) => ROLE_NAME.test(name))) ? required : undefined;
}

export function meets(roles: readonly string[], required: RequiredRoles): boolean {
  return required.every((names) => names.some((name) => roles.includes(name)));
}
