import type { KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { Config, type JwtAlgorithm } from '../../platform/config/config.js';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import { KeysService } from '../../keys/keys.service.js';
import { readAccessTokenHeader, readIdentity } from './access-token.format.js';
import { AccessTokenExpiredError, AccessTokenInvalidError } from '../auth.errors.js';
import type { Identity } from '../auth.types.js';

/** What the JWT library checks for every caller. */
export interface VerificationRules {
  readonly algorithms: JwtAlgorithm[];
  readonly issuer: string;
  readonly audience: string;
  /** The library judges by the clock of the process. */
  readonly ignoreExpiration: true;
}

/** Validates access tokens, except for revocation. Never queries the database. */
@Injectable()
export class AccessTokensService {
  readonly rules: VerificationRules;

  constructor(
    private readonly keys: KeysService,
    private readonly jwt: JwtService,
    private readonly clock: DatabaseClock,
    { accessTokens: { issuer, audience } }: Config,
  ) {
    this.rules = { algorithms: ['ES256', 'RS256'], issuer, audience, ignoreExpiration: true };
  }

  /** Returns the key that the token's header names, for that key's own algorithm only (RFC 8725 section 3.1). */
  keyFor(token: string): KeyObject | undefined {
    const header = readAccessTokenHeader(token);
    const key = header === undefined ? undefined : this.keys.verificationKey(header.kid);
    return key !== undefined && key.algorithm === header?.algorithm ? key.publicKey : undefined;
  }

  /**
   * Reads the identity from claims that have been verified by `rules`, and judges `exp` by the database's time, by which
   * tokens are issued.
   *
   * @throws AccessTokenExpiredError
   * @throws AccessTokenInvalidError if this service does not write such claims
   */
  identityOf(claims: object): Identity {
    const nowSeconds = this.clock.nowSeconds();
    if ('exp' in claims && typeof claims.exp === 'number' && nowSeconds >= claims.exp) {
      throw new AccessTokenExpiredError();
    }
    const identity = readIdentity(claims, nowSeconds);
    if (identity === undefined) {
      throw new AccessTokenInvalidError('claims');
    }
    return identity;
  }

  /**
   * Verifies a token that did not come in the `Authorization` header, by the same rules.
   *
   * @returns undefined for anything but an access token of this service that has not expired
   */
  identify(token: string): Identity | undefined {
    const publicKey = this.keyFor(token);
    if (publicKey === undefined) {
      return undefined;
    }
    try {
      // The typings allow PEM only; the library also takes a KeyObject, which it need not parse.
      return this.identityOf(this.jwt.verify<object>(token, { ...this.rules, publicKey: publicKey as never }));
    } catch {
      return undefined;
    }
  }
}
