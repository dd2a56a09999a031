const ROLE_NAME = /^[a-z0-9_.:-]{1,64}$/;

/** Every one of these must be met; each by any one of its names. */
export type RequiredRoles = readonly (readonly string[])[];

/**
 * Reads `X-Require-Role`: commas, and lines of the header, mean all of; `|` means any of. So a gateway that appends its
 * own value to one that a client sent is not weakened by it, and the client can only make its own request stricter.
 *
 * @param header of several lines, as Node joins them by commas; undefined when there is none
 * @returns undefined for bad syntax, which nobody meets
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
