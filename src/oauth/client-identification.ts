import type { FastifyRequest } from 'fastify';
import { CLIENT_ID } from '../auth/auth.types.js';
import type { Form } from '../platform/http/form-route.js';
import { ClientCredentialsInHeaderError, InvalidClientError } from './oauth.errors.js';

/** A bearer token that a client adds to every request of its own is no attempt to authenticate as a client. */
const BEARER = /^Bearer\b/i;

/**
 * Requires the client to name itself as the one public client, and nothing more (RFC 6749 section 3.2.1). A client that
 * sends a proof, even an empty `Basic` password, expects a check, which a public client cannot get.
 *
 * @throws InvalidClientError, ClientCredentialsInHeaderError before the token is looked at, because some libraries try
 *   one way and then the other
 */
export function requireKnownClient(form: Form, { headers }: Pick<FastifyRequest, 'headers'>): void {
  if (headers.authorization !== undefined && !BEARER.test(headers.authorization)) {
    throw new ClientCredentialsInHeaderError();
  }
  if (form.has('client_secret') || form.has('client_assertion') || form.has('client_assertion_type')) {
    throw new InvalidClientError('credentials in the body');
  }
  if (form.get('client_id') !== CLIENT_ID) {
    throw new InvalidClientError(form.has('client_id') ? 'another client_id' : 'no client_id');
  }
}
