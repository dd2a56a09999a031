import type { Config } from '../config/config.js';

/** The name of the security scheme, for `@ApiBearerAuth(ACCESS_TOKEN_SCHEME)`. */
export const ACCESS_TOKEN_SCHEME = 'access-token';

/** Marks the property of a new password, whose shortest length is a setting. */
export const NEW_PASSWORD = { 'x-new-password': true } as const;

/** Says whether the documentation is served: unless `API_DOCS` decides, everywhere except in production. */
export function servesApiDocs({ http, runtime }: Pick<Config, 'http' | 'runtime'>): boolean {
  return http.apiDocs ?? runtime.environment !== 'production';
}
