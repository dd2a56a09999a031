import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessToken } from './access-token.format.js';
import { VerificationError } from './errors.js';
import { toProblem } from './problem.js';
import {
  authorizeRequest,
  readRequirement,
  type RequestVerifier,
  type Requirement,
  tokenOf,
} from './request-tokens.js';

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Middleware for Express, Connect and other frameworks that take `(request, response, next)`. Passes requests with a
 * valid token on and answers all others with a problem.
 *
 * @throws TypeError for a requirement that no token could meet
 */
export function requireAccessToken(verifier: RequestVerifier, requirement: Requirement = {}): Middleware {
  const required = readRequirement(requirement);
  return (request, response, next) => {
    authorizeRequest(verifier, request, required).then(
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

/** Returns the token that the middleware has verified.
 *
 * @throws AccessTokenMissingError where it has not run
 */
export function accessTokenOf(request: IncomingMessage): AccessToken {
  return tokenOf(request);
}
