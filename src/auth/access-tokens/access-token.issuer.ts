import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { Config } from '../../platform/config/config.js';
import { KeysService } from '../../keys/keys.service.js';
import type { AccessGrant } from '../../tokens/tokens.types.js';
import { ACCESS_TOKEN_TYPE } from './access-token.format.js';
import { acrOf } from '../acr.types.js';
import { CLIENT_ID } from '../auth.types.js';

/** Signs access tokens (RFC 9068). */
@Injectable()
export class AccessTokenIssuer {
  constructor(
    private readonly jwt: JwtService,
    private readonly keys: KeysService,
    private readonly config: Config,
  ) {}

  /**
   * Call it before changing a session, so that the answer `temporarily_unavailable` is true: nothing was done.
   *
   * @throws TemporarilyUnavailableError when this instance cannot sign
   */
  requireKey(): void {
    this.keys.signingKey();
  }

  /**
   * Signs a token. `iat` and `exp` are the database's time, taken in the statement that created, rotated or stepped up the family;
   * `exp` never passes the family's end. It holds no e-mail and no secret: anyone can decode it.
   *
   * @returns the token and its lifetime in whole seconds
   */
  async issue(grant: AccessGrant): Promise<{ readonly accessToken: string; readonly expiresInSeconds: number }> {
    await this.keys.whenSettled();
    const { issuer, audience, ttlSeconds } = this.config.accessTokens;
    const { kid, algorithm, privateKey } = this.keys.signingKey();
    const issuedAt = grant.issuedAtSeconds;
    const expiresAt = Math.min(issuedAt + ttlSeconds, grant.sessionExpiresAtSeconds);
    const claims = {
      iss: issuer,
      aud: audience,
      sub: grant.userId,
      sid: grant.sessionId,
      jti: randomUUID(),
      iat: issuedAt,
      exp: expiresAt,
      client_id: CLIENT_ID,
      auth_time: grant.authenticatedAtSeconds,
      // From the methods, which the family keeps: so no refresh raises it.
      acr: acrOf(grant.amr),
      // An empty scope cannot be written (RFC 6749 section 3.3), and strict validators refuse empty lists of RFC 9068.
      // `scope` repeats the roles for gateways that cannot read arrays.
      ...(grant.roles.length > 0 && { roles: grant.roles, scope: grant.roles.join(' ') }),
      ...(grant.amr.length > 0 && { amr: grant.amr }),
    };
    const header = { alg: algorithm, typ: ACCESS_TOKEN_TYPE, kid };
    return {
      accessToken: this.jwt.sign(claims, { algorithm, header, privateKey }),
      expiresInSeconds: expiresAt - issuedAt,
    };
  }
}
