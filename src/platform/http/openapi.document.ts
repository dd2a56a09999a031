import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { ProblemCode } from '../common/domain.errors.js';
import { VERSION } from '../common/version.js';
import type { Config } from '../config/config.js';
import { describeCookies } from './openapi.cookies.js';
import { ACCESS_TOKEN_SCHEME, NEW_PASSWORD } from './openapi.js';
import {
  EDGE_PROBLEM_CODES,
  PROBLEM_CODES,
  PROBLEM_SCHEMA,
  ProblemDto,
  problemsByStatus,
} from './problems/api-problems.js';
import { PROBLEM_MEDIA_TYPE } from './problems/problem.js';

type PathItem = OpenAPIObject['paths'][string];
type Operation = NonNullable<PathItem['get']>;
type Responses = Operation['responses'];
type Response = Exclude<NonNullable<Responses[string]>, { $ref: string }>;
type Headers = NonNullable<Response['headers']>;

const NEW_PASSWORD_KEY = Object.keys(NEW_PASSWORD)[0] ?? '';

const METHODS = ['get', 'post', 'patch', 'delete'] as const;

/** What every route can answer, before or beside its own work. */
const EVERYWHERE: readonly ProblemCode[] = [
  'malformed_request',
  'method_not_allowed',
  'headers_too_large',
  'internal_error',
  'overloaded',
];

/** Answers of methods whose body is read, also where a route wants none. */
const WITH_BODY: readonly ProblemCode[] = ['payload_too_large', 'unsupported_media_type'];

const HEADERS: Headers = {
  'X-Request-Id': {
    description: "The caller's own, if it is 1 to 64 of `A-Z a-z 0-9 . _ -`, otherwise a new UUID. It is in the log.",
    required: true,
    schema: { type: 'string' },
  },
  'Cache-Control': {
    description: '`no-store`, except for what is public.',
    required: true,
    schema: { type: 'string' },
  },
  'WWW-Authenticate': {
    description: 'A challenge of the scheme `Bearer` (RFC 6750 section 3). It has an `error` if a token was refused.',
    required: true,
    schema: { type: 'string' },
  },
  'Retry-After': {
    description: 'How many seconds to wait before the request is repeated.',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
  Allow: { description: 'The methods of the path.', required: true, schema: { type: 'string' } },
  ETag: { description: 'Names this version, for `If-None-Match`.', required: true, schema: { type: 'string' } },
};

/**
 * Describes the API as this installation answers it. The decorators of a route say what only the route knows; what
 * follows from the edge, from the status or from the settings is added here, for all routes alike.
 */
export function describeApi(
  app: NestFastifyApplication,
  { accessTokens, cookies, passwords }: Pick<Config, 'accessTokens' | 'cookies' | 'passwords'>,
): OpenAPIObject {
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Ratchet')
    .setDescription(
      'Authentication: short-lived access tokens, refresh tokens that rotate on every use, and a logout that takes ' +
        'effect everywhere within a second.',
    )
    .setVersion(VERSION)
    .setLicense('MIT', 'https://spdx.org/licenses/MIT.html')
    // Clients know the service by its issuer, on which the metadata builds as well.
    .addServer(accessTokens.issuer.replace(/\/$/, ''))
    .addTag('auth', 'Sign up, sign in, refresh, sign out')
    .addTag('sessions', "The user's own sessions")
    .addTag('mail', 'What goes by mail: lost passwords, new addresses and their proofs')
    .addTag('factors', 'Second factors: authenticator apps, passkeys, recovery codes')
    .addTag('oauth', 'The same for standard OAuth clients')
    .addTag('gateway', 'What API gateways ask')
    .addTag('keys', 'Public keys for verifiers')
    .addTag('health', 'Probes for operators')
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The `access_token` of a login or refresh.' },
      ACCESS_TOKEN_SCHEME,
    )
    .build();
  const document = SwaggerModule.createDocument(app, description, {
    operationIdFactory: (_controller, method) => method,
    extraModels: [ProblemDto],
  });
  document.components = { ...document.components, headers: HEADERS };
  describeCookies(document, { accessTokens, cookies });
  for (const item of Object.values(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation !== undefined) {
        complete(operation, method, document);
      }
    }
  }
  limitNewPasswords(document, passwords.minLengthCodePoints);
  return document;
}

function complete(operation: Operation, method: (typeof METHODS)[number], document: OpenAPIObject): void {
  operation.security ??= [];
  addProblems(operation, method);
  addHeaders(operation);
  refuseUnknownMembers(operation, document);
}

function addProblems(operation: Operation, method: (typeof METHODS)[number]): void {
  const edge = takeCodes(operation, EDGE_PROBLEM_CODES) ?? [...EVERYWHERE, ...(method === 'get' ? [] : WITH_BODY)];
  const codes = new Set([...(takeCodes(operation, PROBLEM_CODES) ?? []), ...edge]);
  for (const [status, problems] of problemsByStatus([...codes])) {
    const own = operation.responses[status] as Response | undefined;
    operation.responses[status] = {
      ...own,
      description: [own?.description, problems.description].filter(Boolean).join('\n\n'),
      content: { ...own?.content, ...problems.content },
    };
  }
  operation.responses['default'] ??= {
    description: 'Any other error.',
    content: { [PROBLEM_MEDIA_TYPE]: { schema: PROBLEM_SCHEMA } },
  };
}

function takeCodes(operation: Operation, key: string): readonly ProblemCode[] | undefined {
  const codes = Reflect.get(operation, key) as readonly ProblemCode[] | undefined;
  Reflect.deleteProperty(operation, key);
  return codes;
}

/** @see HEADERS */
function addHeaders(operation: Operation): void {
  const isPublished = '304' in operation.responses;
  if (isPublished) {
    operation.parameters = [
      ...(operation.parameters ?? []),
      {
        name: 'If-None-Match',
        in: 'header',
        description: 'The `ETag` of the version at hand: 304 while it is current.',
        schema: { type: 'string' },
      },
    ];
  }
  for (const [status, response] of Object.entries(operation.responses) as [string, Response][]) {
    const names = [
      'X-Request-Id',
      'Cache-Control',
      ...(status === '401' || (status === '403' && hasChallenge(response)) ? ['WWW-Authenticate'] : []),
      ...(status === '405' ? ['Allow'] : []),
      ...(status === '429' || status === '503' ? ['Retry-After'] : []),
      ...(isPublished && (status === '200' || status === '304') ? ['ETag'] : []),
    ];
    response.headers = {
      ...Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
      ...response.headers,
    };
  }
}

/** RFC 6750 section 3.1: a role that is missing is the one 403 with a challenge. */
function hasChallenge({ description }: Response): boolean {
  return description.includes('`insufficient_role`');
}

/** As `BodyValidationPipe` does. Forms are read parameter by parameter, and unknown ones are ignored. */
function refuseUnknownMembers({ requestBody }: Operation, document: OpenAPIObject): void {
  const schema =
    requestBody !== undefined && 'content' in requestBody && requestBody.content['application/json']?.schema;
  if (typeof schema === 'object') {
    closeSchema(schema, document);
  }
}

/** With those of its members. */
function closeSchema(schema: object, document: OpenAPIObject): void {
  if (!('$ref' in schema)) {
    return;
  }
  const target = document.components?.schemas?.[String(schema.$ref).replace('#/components/schemas/', '')];
  if (target !== undefined && 'properties' in target) {
    target.additionalProperties = false;
    for (const property of Object.values(target.properties ?? {})) {
      closeSchema(property, document);
    }
  }
}

function limitNewPasswords({ components }: OpenAPIObject, minLength: number): void {
  for (const schema of Object.values(components?.schemas ?? {})) {
    for (const property of Object.values('properties' in schema ? (schema.properties ?? {}) : {})) {
      if (NEW_PASSWORD_KEY in property) {
        Reflect.deleteProperty(property, NEW_PASSWORD_KEY);
        Object.assign(property, { minLength });
      }
    }
  }
}
