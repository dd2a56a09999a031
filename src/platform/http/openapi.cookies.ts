import type { OpenAPIObject } from '@nestjs/swagger';
import type { ProblemCode } from '../common/domain.errors.js';
import type { Config } from '../config/config.js';
import { cookieNamesOf } from './cookie-names.js';
import { ACCESS_TOKEN_SCHEME } from './openapi.js';
import { PROBLEM_CODES } from './problems/api-problems.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Response = Exclude<NonNullable<Operation['responses'][string]>, { $ref: string }>;
type Schema = Exclude<NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string], { $ref: string }>;

const PAIR = { $ref: '#/components/schemas/TokenPairDto' };
const ACCESS_TOKEN = { $ref: '#/components/schemas/AccessTokenDto' };
const COOKIE_SESSION = { $ref: '#/components/schemas/CookieSessionDto' };

const REFRESH_COOKIE_SCHEME = 'refresh-cookie';
const ACCESS_COOKIE_SCHEME = 'access-cookie';

/** They take a refresh token, and so its cookie. */
const READ_REFRESH_COOKIE = ['/auth/refresh', '/auth/logout'];

const REMOVE_COOKIES = ['/auth/logout', '/auth/logout-all', '/auth/sessions/{id}'];

/**
 * Describes what an installation with `COOKIE_ORIGINS` does in addition, for the origins in it. Call it while the problems
 * of a route are codes.
 */
export function describeCookies(
  document: OpenAPIObject,
  { cookies, accessTokens }: Pick<Config, 'cookies' | 'accessTokens'>,
): void {
  if (cookies.origins.length === 0) {
    return;
  }
  const names = cookieNamesOf(accessTokens);
  const { securitySchemes, schemas } = (document.components ??= {});
  Object.assign(securitySchemes ?? {}, {
    [REFRESH_COOKIE_SCHEME]: schemeOf(names.refresh, 'The refresh token of an origin in `COOKIE_ORIGINS`.'),
    ...(cookies.accessCookie && {
      [ACCESS_COOKIE_SCHEME]: schemeOf(names.access, 'Its access token; not beside an `Authorization` header.'),
    }),
  });
  Object.assign(schemas ?? {}, {
    CookieSessionDto: withoutTokens(schemas?.['TokenPairDto'] as Schema, cookies.accessCookie),
  });
  for (const [path, item] of Object.entries(document.paths)) {
    for (const operation of [item.get, item.post, item.patch, item.delete].filter((each) => each !== undefined)) {
      const { security = [{}] } = operation;
      const takesAccessCookie = cookies.accessCookie && security.some((each) => ACCESS_TOKEN_SCHEME in each);
      const scheme = READ_REFRESH_COOKIE.includes(path)
        ? REFRESH_COOKIE_SCHEME
        : takesAccessCookie
          ? ACCESS_COOKIE_SCHEME
          : undefined;
      if (scheme !== undefined) {
        operation.security = [...security, { [scheme]: [] }];
        addRefusal(operation);
      }
      describeAnswer(operation, path, cookies.accessCookie);
    }
  }
}

function schemeOf(name: string, description: string): object {
  return { type: 'apiKey', in: 'cookie', name, description };
}

function withoutTokens({ properties = {}, required = [], ...schema }: Schema, hasAccessCookie: boolean): Schema {
  const isKept = (name: string): boolean => name !== 'refresh_token' && !(hasAccessCookie && name === 'access_token');
  return {
    ...schema,
    properties: Object.fromEntries(Object.entries(properties).filter(([name]) => isKept(name))),
    required: required.filter(isKept),
  };
}

function describeAnswer({ responses }: Operation, path: string, hasAccessCookie: boolean): void {
  const success = (responses['200'] ?? responses['204']) as Response | undefined;
  const json = success?.content?.['application/json'];
  const reference = json?.schema !== undefined && '$ref' in json.schema ? json.schema.$ref : undefined;
  const opens = reference === PAIR.$ref;
  if (json !== undefined && opens) {
    json.schema = { anyOf: [PAIR, COOKIE_SESSION] };
  }
  const removes = REMOVE_COOKIES.includes(path);
  const raises = hasAccessCookie && reference === ACCESS_TOKEN.$ref;
  if (success !== undefined && (opens || removes || raises)) {
    const what = opens ? 'Sets the cookies' : removes ? 'Removes the cookies' : 'Sets the access cookie';
    const description = `${what} of an origin in \`COOKIE_ORIGINS\`.`;
    success.headers = { ...success.headers, 'Set-Cookie': { description, schema: { type: 'string' } } };
  }
}

function addRefusal(operation: Operation): void {
  const codes = Reflect.get(operation, PROBLEM_CODES) as readonly ProblemCode[] | undefined;
  Reflect.set(operation, PROBLEM_CODES, [...(codes ?? []), 'cross_site_request' satisfies ProblemCode]);
  const denial = (operation.responses['403'] as Response | undefined)?.headers?.['X-Auth-Error'];
  const schema = denial !== undefined && 'schema' in denial ? denial.schema : undefined;
  if (schema !== undefined && 'enum' in schema) {
    schema.enum = [...((schema.enum ?? []) as readonly string[]), 'cross_site_request', 'malformed_request'];
  }
}
