/** The name of the security scheme, for `@ApiBearerAuth(ACCESS_TOKEN_SCHEME)`. */
export const ACCESS_TOKEN_SCHEME = 'access-token';

/** Marks the property of a new password, whose shortest length is a setting. */
export const NEW_PASSWORD = { 'x-new-password': true } as const;
