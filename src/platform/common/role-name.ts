/**
 * Roles end up in headers and in space-separated claims, hence the narrow alphabet; the table has the same constraint.
 */
export const ROLE_NAME = /^[a-z0-9_.:-]{1,64}$/;
