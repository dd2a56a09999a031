import type { Config } from './platform/config/config.js';
import { ConfigurationError } from './platform/config/config.errors.js';
import { IS_PUBLISHED } from './platform/common/version.js';
import { DatabaseUnusableError } from './platform/database/database.errors.js';
import { UntrustedSigningKeyError } from './keys/keys.errors.js';

/** Failures that a person can fix: the message says how, and a stack would only hide it. */
const EXPLAINED = [ConfigurationError, DatabaseUnusableError, UntrustedSigningKeyError];

const START = IS_PUBLISHED ? 'ratchet start' : 'npm start';

/**
 * Shows what verifiers are configured with, and the first requests to try after a start. Every line of those works when
 * pasted and fits into 80 columns.
 *
 * @param hasApiPage whether `/docs` is served
 */
export function welcomeText(
  url: string,
  { issuer, audience }: Pick<Config['accessTokens'], 'issuer' | 'audience'>,
  hasApiPage: boolean,
): string {
  const json = "-H 'content-type: application/json'";
  const credentials = `'{"email":"ada@example.com","password":"a long and unlikely sentence"}'`;
  return `
Ratchet listens on ${url}${hasApiPage ? `\nAPI page: ${url}/docs` : ''}

Its tokens are verified with
  issuer     ${issuer}
  audience   ${audience}
  JWKS       ${url}/.well-known/jwks.json
  discovery  ${url}/.well-known/oauth-authorization-server

Try it in another terminal:

  curl -s ${url}/auth/register \\
    ${json} \\
    -d ${credentials}

  PAIR=$(curl -s ${url}/auth/login \\
    ${json} \\
    -d ${credentials})
  echo "$PAIR"

  curl -s ${url}/auth/me \\
    -H "authorization: Bearer $(echo "$PAIR" | cut -d '"' -f 4)"

  curl -s ${url}/auth/refresh \\
    ${json} \\
    -d "{\\"refresh_token\\":\\"$(echo "$PAIR" | cut -d '"' -f 14)\\"}"

Ctrl-C stops it.
`;
}

/** Says why the service could not start, and what to do about it. */
export function bootFailureText(error: unknown): string {
  if (EXPLAINED.some((explained) => error instanceof explained) && error instanceof Error) {
    return error.message;
  }
  if (error instanceof Error && 'code' in error && 'port' in error) {
    if (error.code === 'EADDRINUSE') {
      return `Port ${String(error.port)} is taken. Stop what listens there, or choose another: PORT=3001 ${START}`;
    }
    if (error.code === 'EACCES') {
      return `Port ${String(error.port)} may not be used by this user. Choose one above 1023: PORT=3000 ${START}`;
    }
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
