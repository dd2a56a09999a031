import type { FastifyRequest } from 'fastify';
import { CLIENT_ID } from '../auth/auth.types.js';
import type { Form } from '../platform/http/form-route.js';
import { ClientCredentialsInHeaderError, InvalidClientError } from './oauth.errors.js';

/** A bearer token that a client adds to every request of its own is no attempt to authenticate as a client. */
const BEARER = /^Bearer\b/i;

/** `ratchet` with an empty password (RFC 6749 section 2.3.1), which proves as little as the id alone. */
const ID_WITHOUT_SECRET = new RegExp(`^[Bb]asic +${Buffer.from(`${CLIENT_ID}:`).toString('base64')}$`);

/**
 * Requires the client to name itself as the one public client, and nothing more (RFC 6749 section 3.2.1): in the body, or
 * by `Basic` with an empty password, as some libraries do without being told. A client that sends a proof expects a check,
 * which a public client cannot get.
 *
 * @throws InvalidClientError, ClientCredentialsInHeaderError before the token is looked at, because some libraries try
 *   one way and then the other
 */
export function requireKnownClient(form: Form, { headers: { authorization } }: Pick<FastifyRequest, 'headers'>): void {
  const isNamedInHeader = authorization !== undefined && ID_WITHOUT_SECRET.test(authorization);
  if (authorization !== undefined && !isNamedInHeader && !BEARER.test(authorization)) {
    throw new ClientCredentialsInHeaderError();
  }
  if (form.has('client_secret') || form.has('client_assertion') || form.has('client_assertion_type')) {
    throw new InvalidClientError('credentials in the body');
  }
  const clientId = form.get('client_id') ?? (isNamedInHeader ? CLIENT_ID : undefined);
  if (clientId !== CLIENT_ID) {
    throw new InvalidClientError(clientId === undefined ? 'no client_id' : 'another client_id');
  }
}
