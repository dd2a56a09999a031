import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import passport from 'passport';
import { Strategy } from 'passport-jwt';
import { AccessTokensService } from './access-tokens.service.js';
import { AccessTokenInvalidError } from '../auth.errors.js';
import type { Identity } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';

/**
 * The typings allow strings and buffers only; jsonwebtoken also takes a KeyObject, which it need not parse each time.
 */
type KeyCallback = (error: Error | null, key?: never) => void;

/**
 * Verifies an access token: header, signature, `iss`, `aud` and `exp` (no tolerance), then the claims that make an
 * identity. Does not use the database; the guard checks whether the session has ended.
 */
@Injectable()
export class AccessTokenStrategy extends PassportStrategy(Strategy) implements OnApplicationShutdown {
  /** Passport keeps one registry per process: two applications in it must not find each other's strategy. */
  readonly registeredName = `access-token-${randomUUID()}`;

  constructor(
    private readonly accessTokens: AccessTokensService,
    cookies: SessionCookiesService,
  ) {
    super({
      jwtFromRequest: (request: unknown) => {
        const bearer = cookies.accessTokenOf((request as FastifyRequest).raw);
        return bearer.kind === 'present' ? bearer.token : null;
      },
      // A throw here would become a 500; passport-jwt turns an error passed to `done` into a failed authentication.
      secretOrKeyProvider: (_request: unknown, token: string, done: KeyCallback) => {
        const publicKey = accessTokens.keyFor(token);
        if (publicKey === undefined) {
          done(new AccessTokenInvalidError('header or key id'));
        } else {
          done(null, publicKey as never);
        }
      },
      ...accessTokens.rules,
    });
    passport.use(this.registeredName, this);
  }

  /** @throws AccessTokenInvalidError, AccessTokenExpiredError */
  validate(claims: object): Identity {
    return this.accessTokens.identityOf(claims);
  }

  onApplicationShutdown(): void {
    passport.unuse(this.registeredName);
  }
}
