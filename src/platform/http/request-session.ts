import type { FastifyRequest } from 'fastify';

/** The session that a request is about, as far as the request tells. */
export interface RequestSession {
  readonly sessionId: string;
  readonly userId?: string | undefined;
}

/** `user` is where passport puts the identity of a verified access token. */
type PossiblyAuthenticated = FastifyRequest & { readonly user?: RequestSession };

const notedSessions = new WeakMap<FastifyRequest, RequestSession>();

/** Keeps, for the line of a request in the log, the session that its refresh token names or that it has opened. */
export function noteSession(request: FastifyRequest, { sessionId, userId }: RequestSession): void {
  notedSessions.set(request, { sessionId, userId });
}

/** Returns the session of the access token, or else the noted one. */
export function sessionOf(request: PossiblyAuthenticated): RequestSession | undefined {
  return request.user ?? notedSessions.get(request);
}
