import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessToken } from './access-token.format.js';
import { VerificationError } from './errors.js';
import { toProblem } from './problem.js';
import { admit, type Requirement, tokenOf } from './request-tokens.js';
import type { Verifier } from './verifier.js';

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Middleware for Express, Connect, and whatever else takes `(request, response, next)`: goes on with a good token and
 * answers with a problem otherwise.
 */
export function requireAccessToken(verifier: Verifier, requirement: Requirement = {}): Middleware {
  return (request, response, next) => {
    admit(verifier, request, requirement).then(
      () => {
        next();
      },
      (error: unknown) => {
        if (error instanceof VerificationError) {
          const { status, headers, body } = toProblem(error);
          response.writeHead(status, { ...headers }).end(JSON.stringify(body));
        } else {
          next(error);
        }
      },
    );
  };
}

/**
 * What the middleware has verified.
 *
 * @throws AccessTokenMissingError where it has not run
 */
export function accessTokenOf(request: IncomingMessage): AccessToken {
  return tokenOf(request);
}
