import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { MalformedRequestError, ValidationFailedError } from '../../platform/common/domain.errors.js';
import { Config } from '../../platform/config/config.js';
import { cookieNamesOf } from '../../platform/http/cookie-names.js';
import { FORWARD_AUTH_PATH } from '../../platform/http/forward-auth.js';
import { type BearerToken, readBearerToken } from '../access-tokens/bearer-token.js';
import {
  type AccessTokenDto,
  type CookieSessionDto,
  type TokenPairDto,
  toCookieSessionDto,
  toTokenPairDto,
} from '../auth.dto.js';
import { CrossSiteRequestError } from '../auth.errors.js';
import type { TokenPair } from '../auth.types.js';
import { readCookie } from './cookie-header.js';
import { mayCookieAuthenticate } from './same-site.rule.js';

interface SessionCookie {
  readonly name: string;
  /** Everything except its value and age. */
  readonly attributes: string;
}

interface CookieMode {
  readonly origins: ReadonlySet<string>;
  readonly refresh: SessionCookie;
  readonly access: SessionCookie;
  /** Whether the access token travels in its cookie; else in the body. */
  readonly hasAccessCookie: boolean;
}

/**
 * Decides how the tokens of a session travel. A *cookie request* is one whose `Origin` is in `COOKIE_ORIGINS`: the
 * operator decides this, so no script can ask for a transport whose tokens it can read. Every token pair becomes an
 * answer here, and no answer to a cookie request has a refresh token in its body.
 */
@Injectable()
export class SessionCookiesService {
  /** Undefined without `COOKIE_ORIGINS`: no cookie is then read or set. */
  private readonly mode: CookieMode | undefined;

  constructor(config: Config) {
    this.mode = config.cookies.origins.length === 0 ? undefined : modeOf(config);
  }

  isCookieRequest({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
    return this.mode !== undefined && mayCookieAuthenticate(headers, this.mode.origins, true);
  }

  /**
   * Makes the answer that opens or continues a session. Call it last, because an error must not touch the cookies: the
   * loser of a race would replace or remove what the winner has stored.
   */
  answer(reply: FastifyReply, pair: TokenPair): TokenPairDto | CookieSessionDto {
    if (this.mode === undefined || !this.isCookieRequest(reply.request)) {
      return toTokenPairDto(pair);
    }
    const { refresh, access, hasAccessCookie } = this.mode;
    setCookie(reply, refresh, pair.refreshToken, pair.refreshExpiresInSeconds);
    if (hasAccessCookie) {
      setCookie(reply, access, pair.accessToken, pair.expiresInSeconds);
    }
    return toCookieSessionDto(pair, !hasAccessCookie);
  }

  /**
   * Makes the answer that gives a session another access token, and leaves its refresh token alone. Call it last, like
   * `answer`.
   */
  answerAccess(reply: FastifyReply, token: Pick<TokenPair, 'accessToken' | 'expiresInSeconds'>): AccessTokenDto {
    const rest = { token_type: 'Bearer', expires_in: token.expiresInSeconds } as const;
    if (this.mode?.hasAccessCookie !== true || !this.isCookieRequest(reply.request)) {
      return { access_token: token.accessToken, ...rest };
    }
    setCookie(reply, this.mode.access, token.accessToken, token.expiresInSeconds);
    return rest;
  }

  /** Removes both cookies with the answer to a cookie request. Call it last, like `answer`. */
  forget(reply: FastifyReply): void {
    if (this.mode !== undefined && this.isCookieRequest(reply.request)) {
      setCookie(reply, this.mode.refresh, '', 0);
      setCookie(reply, this.mode.access, '', 0);
    }
  }

  /**
   * Returns the refresh token that a request presents: that of the body, or that of the cookie if it is a cookie request.
   *
   * @param isAuthenticated whether an access token authenticates the request already
   * @throws ValidationFailedError for a token in the body of a cookie request
   * @throws MalformedRequestError for two cookies
   * @throws CrossSiteRequestError if only a cookie could authenticate a request that is none
   */
  refreshTokenOf(
    request: FastifyRequest,
    fromBody: string | undefined,
    { isAuthenticated }: { readonly isAuthenticated: boolean },
  ): string | undefined {
    if (this.mode === undefined) {
      return fromBody;
    }
    const cookie = readCookie(request.headers.cookie, this.mode.refresh.name);
    if (!this.isCookieRequest(request)) {
      if (cookie.kind !== 'absent' && fromBody === undefined && !isAuthenticated) {
        throw new CrossSiteRequestError('the refresh cookie came without an origin of COOKIE_ORIGINS');
      }
      return fromBody;
    }
    if (fromBody !== undefined) {
      throw new ValidationFailedError([
        { field: 'refresh_token', message: 'must not be sent: the sessions of this origin live in cookies' },
      ]);
    }
    return valueOf(cookie, this.mode.refresh);
  }

  /**
   * Reads the access token from the `Authorization` header and, if there is none of any scheme, from the access cookie.
   *
   * @throws MalformedRequestError for two cookies
   * @throws CrossSiteRequestError if a page of another origin may have caused a request that has only the cookie
   */
  accessTokenOf(request: IncomingMessage): BearerToken {
    const bearer = readBearerToken(request);
    if (bearer.kind !== 'absent' || this.mode?.hasAccessCookie !== true || 'authorization' in request.headers) {
      return bearer;
    }
    const token = valueOf(readCookie(request.headers.cookie, this.mode.access.name), this.mode.access);
    if (token === undefined) {
      return bearer;
    }
    if (!mayCookieAuthenticate(request.headers, this.mode.origins, changesState(request))) {
      throw new CrossSiteRequestError('the access cookie came from elsewhere, or the headers that say so are missing');
    }
    return { kind: 'present', token };
  }
}

function modeOf({ accessTokens, cookies }: Pick<Config, 'accessTokens' | 'cookies'>): CookieMode {
  const { refresh, access, areSecure } = cookieNamesOf(accessTokens);
  const attributes = `Path=/;${areSecure ? ' Secure;' : ''} HttpOnly;`;
  return {
    origins: new Set(cookies.origins),
    refresh: { name: refresh, attributes: `${attributes} SameSite=Strict` },
    access: { name: access, attributes: `${attributes} SameSite=Lax` },
    hasAccessCookie: cookies.accessCookie,
  };
}

function setCookie(
  reply: FastifyReply,
  { name, attributes }: SessionCookie,
  value: string,
  maxAgeSeconds: number,
): void {
  void reply.header('set-cookie', `${name}=${value}; Max-Age=${maxAgeSeconds}; ${attributes}`);
}

function valueOf(cookie: ReturnType<typeof readCookie>, { name }: SessionCookie): string | undefined {
  if (cookie.kind === 'repeated') {
    throw new MalformedRequestError(`several cookies ${name}`);
  }
  return cookie.kind === 'present' ? cookie.value : undefined;
}

/**
 * Says whether a request may change something. A gateway asks about one of another method; if it does not say which,
 * the request counts as one that changes something.
 */
function changesState({ method = '', url, headers }: IncomingMessage): boolean {
  const methods =
    url === FORWARD_AUTH_PATH
      ? [headers['x-forwarded-method'], headers['x-original-method']].filter((named) => named !== undefined)
      : [method];
  return methods.length === 0 || methods.some((each) => each !== 'GET' && each !== 'HEAD');
}
