import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';
import { PostgresAdapter } from './postgres-adapter.mjs';

export const RESOURCE = 'urn:bench:api';
export const CLIENT_ID = 'bench';

/** Signs access tokens. A new key at each start is enough, because no client verifies the tokens here. */
const signingKey = {
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  alg: 'ES256',
  use: 'sig',
};

/**
 * A public client whose refresh tokens rotate, and a resource whose access tokens are JWTs signed with ES256: what
 * Ratchet does too. They are not stored; opaque ones would be one more row for each refresh. Without `openid` in the
 * scope no ID token is made. The client is configured and not stored, so it costs no query.
 */
export const provider = new Provider('http://127.0.0.1', {
  adapter: PostgresAdapter,
  clients: [
    {
      client_id: CLIENT_ID,
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://bench.example/callback'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [signingKey] },
  cookies: { keys: ['no cookie is ever set by the token endpoint'] },
  scopes: ['offline_access', 'api'],
  rotateRefreshToken: true,
  ttl: { AccessToken: 300, RefreshToken: 1_209_600, Grant: 2_592_000 },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'api',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
});
