import type { AccessToken } from './access-token.format.js';
import type { NodeRequest } from './bearer-token.js';
import { VerificationError } from './errors.js';
import { toProblem } from './problem.js';
import {
  authorizeRequest,
  readRequirement,
  type RequestVerifier,
  type Requirement,
  tokenOf,
} from './request-tokens.js';

/** The part of Fastify's request and reply that is used. */
export interface FastifyRequestLike {
  readonly raw: NodeRequest;
}

export interface FastifyReplyLike {
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(payload: unknown): unknown;
}

export type Hook = (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>;

/**
 * An `onRequest` hook: passes requests with a valid token on and answers all others with a problem, before any body is
 * read.
 *
 * @throws TypeError for a requirement that no token could meet
 */
export function requireAccessToken(verifier: RequestVerifier, requirement: Requirement = {}): Hook {
  const required = readRequirement(requirement);
  return async (request, reply) => {
    try {
      await authorizeRequest(verifier, request.raw, required);
      return undefined;
    } catch (error) {
      if (!(error instanceof VerificationError)) {
        throw error;
      }
      const { status, headers, body } = toProblem(error);
      reply.code(status);
      reply.headers({ ...headers });
      // Bytes, because Fastify adds a charset to text, and the media type has none.
      reply.send(Buffer.from(JSON.stringify(body)));
      return reply;
    }
  };
}

/** Returns the token that the hook has verified.
 *
 * @throws AccessTokenMissingError where it has not run
 */
export function accessTokenOf(request: FastifyRequestLike): AccessToken {
  return tokenOf(request.raw);
}
