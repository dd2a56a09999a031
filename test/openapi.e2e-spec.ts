import { beforeAll, describe, expect, it } from 'vitest';
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { RequestMethod } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import request from 'supertest';
import { PROBLEM_CATALOGUE } from '../src/platform/http/problems/problem.catalogue.js';
import { beginSignIn, enrolTotp } from './support/factors.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import {
  bearerOf,
  beginPasskey,
  beginRegistration,
  PASSKEY_ORIGIN,
  RELATED_PASSKEYS_ON,
  send,
} from './support/passkeys.js';
import { SoftwareAuthenticator } from './support/software-authenticator.js';
import { newEmail, newPassword } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { headerOf } from './support/token-forge.js';
import { useService } from './support/use-service.js';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: boolean;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly Schema[];
  readonly example?: unknown;
}

interface Content {
  readonly schema?: Schema;
  readonly examples?: Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>;
}

interface Answer {
  readonly description?: string;
  readonly content?: Readonly<Record<string, Content>>;
}

interface Operation {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, Answer>>;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly headers: Readonly<Record<string, object>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

const { version: packageVersion } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

/** Forms in, RFC 6749 errors out; `test/oauth` holds what they say. */
const OAUTH_ROUTES: readonly string[] = ['POST /oauth/token', 'POST /oauth/revoke'];

/** The metadata's address with the path of the issuer behind it, which the document of the address itself explains. */
const UNDOCUMENTED: readonly string[] = ['GET /.well-known/oauth-authorization-server/*'];

/** A token is one way of several to show who asks. */
const TOKEN_IS_OPTIONAL: readonly string[] = [
  'POST /auth/logout',
  'POST /auth/email/confirm',
  'POST /auth/email/verify',
  'POST /auth/passkeys/options',
];

/** Of the others each has one. */
const SUCCESSES: Readonly<Record<string, readonly string[]>> = { 'POST /auth/totp/confirm': ['200', '204'] };

describe('the OpenAPI document', () => {
  const { database, service } = useService({ ...MAIL_ON, ...RELATED_PASSKEYS_ON, EMAIL_SIGN_IN: 'on' });
  let document: Document;
  let operations: (readonly [name: string, operation: Operation])[];

  beforeAll(async () => {
    const response = await service.client.get('/openapi.json');
    expect(response.status).toBe(200);
    document = response.body as Document;
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    );
  });

  function schemaOf({ content }: Pick<Answer, 'content'>, mediaType: string): Schema {
    const schema = content?.[mediaType]?.schema;
    expect(schema).toBeDefined();
    return schema!;
  }

  function resolve(schema: Schema): Schema {
    if (schema.$ref === undefined) {
      return schema;
    }
    const target = document.components.schemas[schema.$ref.replace('#/components/schemas/', '')];
    if (target === undefined) {
      throw new Error(`${schema.$ref} points nowhere`);
    }
    return target;
  }

  /** Where and how a value differs from what the schema says; empty when it does not. */
  function mismatches(value: unknown, schemaOrReference: Schema, where = '$'): string[] {
    const schema = resolve(schemaOrReference);
    if (schema.oneOf !== undefined) {
      const deviations = schema.oneOf.map((each) => mismatches(value, each, where));
      return deviations.some(({ length }) => length === 0) ? [] : deviations.flat();
    }
    const types = [schema.type ?? []].flat();
    if (!types.some((type) => isOfType(value, type))) {
      return [`${where} is not ${types.join(' or ')}`];
    }
    if (schema.enum !== undefined && !schema.enum.includes(value)) {
      return [`${where} is none of ${schema.enum.join(', ')}`];
    }
    if (Array.isArray(value)) {
      return value.flatMap((item, index) => mismatches(item, schema.items ?? {}, `${where}[${index}]`));
    }
    if (typeof value !== 'object' || value === null) {
      return [];
    }
    const properties = schema.properties ?? {};
    return [
      ...(schema.required ?? []).filter((name) => !(name in value)).map((name) => `${where}.${name} is missing`),
      ...Object.entries(value).flatMap(([name, member]) => {
        const property = properties[name];
        return property !== undefined
          ? mismatches(member, property, `${where}.${name}`)
          : schema.additionalProperties === true
            ? []
            : [`${where}.${name} is not documented`];
      }),
    ];
  }

  it('is version 3.1.0, and lists exactly the operations that the controllers have', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({ title: 'Ratchet', version: packageVersion });
    expect(document.servers).toEqual([{ url: service.config.accessTokens.issuer }]);
    const implemented = implementedOperations(service);
    expect(implemented.length).toBeGreaterThanOrEqual(12);
    const documented = operations.map(([name]) => name);
    expect([...documented, ...UNDOCUMENTED].sort()).toEqual(implemented);
  });

  const isOAuth = (name: string): boolean => OAUTH_ROUTES.includes(name);

  it('gives every operation an id of its own, a listed tag, a summary and one kind of success', () => {
    const listedTags = document.tags.map(({ name }) => name);
    const ids = operations.map(([, { operationId }]) => operationId);
    expect([...ids].sort()).toEqual([
      'beginPasskeyRegistration',
      'beginTotp',
      'changePassword',
      'confirmEmailChange',
      'confirmTotp',
      'endSession',
      'exchangeToken',
      'getIndex',
      'getKey',
      'getKeySet',
      'getLive',
      'getOpenIdConfiguration',
      'getReady',
      'getRelatedOrigins',
      'getServerMetadata',
      'getStarted',
      'listFactors',
      'listRevocations',
      'listSessions',
      'login',
      'logout',
      'logoutAll',
      'me',
      'proveSecondFactor',
      'refresh',
      'register',
      'registerPasskey',
      'removePasskey',
      'removeTotp',
      'renamePasskey',
      'renewRecoveryCodes',
      'requestEmailChange',
      'requestEmailVerification',
      'requestPasskeyOptions',
      'requestPasswordReset',
      'requestSignInCode',
      'resetPassword',
      'revokeToken',
      'signInWithCode',
      'signInWithPasskey',
      'stepUp',
      'undoEmailChange',
      'verify',
      'verifyEmail',
    ]);
    for (const [name, { tags, summary, responses }] of operations) {
      expect({ name, tags: tags?.length }).toEqual({ name, tags: 1 });
      expect(listedTags).toEqual(expect.arrayContaining([...(tags ?? [])]));
      expect(summary).toMatch(/^[A-Z].{5,}[^.]$/);
      const successes = Object.keys(responses).filter((status) => status.startsWith('2'));
      expect({ name, successes }).toEqual({ name, successes: SUCCESSES[name] ?? [expect.any(String)] });
      const [status = ''] = successes;
      const { content, description } = responses[status]!;
      if (status === '204') {
        expect(content).toBeUndefined();
        expect(description).toMatch(/\.$/);
      } else {
        const [mediaType = '', ...others] = Object.keys(content ?? {});
        expect(others).toEqual([]);
        const type = /json/.test(mediaType) ? 'object' : 'string';
        expect(resolve(schemaOf({ content: content! }, mediaType)).type).toBe(type);
      }
    }
  });

  it('shows every problem as the client will see it, under its own status', () => {
    let count = 0;
    for (const [name, { responses }] of operations) {
      const problems = Object.entries(responses).filter(([each]) => /^[45]/.test(each) && !isOAuth(name));
      for (const [status, { content }] of problems) {
        const problem = content?.['application/problem+json'];
        expect(problem?.schema).toEqual({ $ref: '#/components/schemas/ProblemDto' });
        const examples = Object.entries(problem?.examples ?? {});
        expect({ name, status, examples: examples.length > 0 }).toEqual({ name, status, examples: true });
        for (const [code, { value }] of examples) {
          const { title, detail, status: catalogued } = PROBLEM_CATALOGUE[code as keyof typeof PROBLEM_CATALOGUE];
          expect(value).toEqual({
            type: `urn:ratchet:problem:${code}`,
            title,
            status: Number(status),
            detail,
            code,
            ...(code === 'validation_failed' && { errors: [{ field: 'email', message: 'must be a string' }] }),
            ...(code === 'second_factor_required' && {
              ticket: expect.stringMatching(/^lg1\./) as string,
              expires_in: 300,
              factors: ['totp', 'recovery_code'],
            }),
            request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          });
          expect(catalogued).toBe(Number(status));
          expect(mismatches(value, problem!.schema!)).toEqual([]);
          count += 1;
        }
      }
    }
    expect(count).toBeGreaterThan(30);
  });

  it('shows the errors of the OAuth routes as OAuth clients read them', () => {
    for (const name of OAUTH_ROUTES) {
      const [, operation] = operations.find(([each]) => each === name)!;
      const errors = Object.entries(operation.responses).filter(([status]) => status !== '200');
      const ofRoute = errors.filter(([, { content }]) => content?.['application/json'] !== undefined);
      const statuses = ['400', '401', '405', '413', '415', '429', '500', '503', 'default'];
      expect(ofRoute.map(([status]) => status)).toEqual(statuses);
      for (const [status, { content, description }] of ofRoute) {
        expect(content).toEqual({ 'application/json': { schema: { $ref: '#/components/schemas/OAuthErrorDto' } } });
        expect(description).toMatch(status === 'default' ? /^Any other error\.$/ : /^`[a-z_]+`: /);
      }
    }
  });

  it('says where a token is needed, and what happens with a bad one', async () => {
    expect(document.components.securitySchemes).toEqual({
      'access-token': {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'JWT',
        description: 'The `access_token` of a login or refresh.',
      },
    });
    const codesOf = ({ responses }: Operation): string[] =>
      Object.keys(responses['401']?.content?.['application/problem+json']?.examples ?? {});
    for (const [name, operation] of operations) {
      const [method = '', path = ''] = name.split(' ');
      const url = `${service.url}${path.replace('{id}', '00000000-0000-4000-8000-000000000000')}`;
      const isProtected = (await fetch(url, { method })).status === 401;
      const isTokenOneWay = TOKEN_IS_OPTIONAL.includes(name);
      expect({ name, isProtected }).toEqual({
        name,
        isProtected: !isTokenOneWay && codesOf(operation).includes('access_token_missing'),
      });
      const needed = isProtected ? [{ 'access-token': [] }] : [];
      const optional = [{}, { 'access-token': [] }];
      expect({ name, security: operation.security }).toEqual({
        name,
        security: TOKEN_IS_OPTIONAL.includes(name) ? optional : needed,
      });
      if (isProtected) {
        expect(codesOf(operation)).toEqual(expect.arrayContaining(['access_token_invalid', 'access_token_expired']));
      }
    }
  });

  it('names what a body must have, and every parameter of a path', () => {
    for (const [name, { parameters = [], requestBody }] of operations) {
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      const declared = parameters.filter((parameter) => parameter.in === 'path');
      expect(declared.map((parameter) => parameter.name)).toEqual(inPath);
      expect(declared.every(({ required }) => required)).toBe(true);
      if (requestBody !== undefined) {
        const mediaType = isOAuth(name) ? 'application/x-www-form-urlencoded' : 'application/json';
        expect(Object.keys(requestBody.content)).toEqual([mediaType]);
        expect(resolve(schemaOf(requestBody, mediaType)).type).toBe('object');
      }
    }
    const withBody = operations.filter(([, { requestBody }]) => requestBody !== undefined);
    expect(Object.fromEntries(withBody.map(([name, { requestBody }]) => [name, requestBody?.required]))).toEqual({
      'POST /auth/register': true,
      'POST /auth/login': true,
      'POST /auth/refresh': true,
      'POST /auth/logout': false,
      'POST /auth/password': true,
      'POST /auth/password/forgot': true,
      'POST /auth/password/reset': true,
      'POST /auth/email': true,
      'POST /auth/email/confirm': true,
      'POST /auth/email/undo': true,
      'POST /auth/email/verify': true,
      'POST /auth/email-code': true,
      'POST /auth/login/email-code': true,
      'POST /auth/login/second-factor': true,
      'POST /auth/totp/confirm': true,
      'POST /auth/step-up': true,
      'POST /auth/login/passkey': true,
      'POST /auth/passkeys/options': false,
      'POST /auth/passkeys': true,
      'PATCH /auth/passkeys/{id}': true,
      'POST /oauth/token': true,
      'POST /oauth/revoke': true,
    });
    for (const [, { responses }] of withBody.filter(([name]) => !isOAuth(name))) {
      const codes = Object.keys(responses['400']?.content?.['application/problem+json']?.examples ?? {});
      expect(codes).toEqual(expect.arrayContaining(['validation_failed', 'malformed_request']));
    }
  });

  it('refers to nothing that is not there, and requires no member that does not exist', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference);
    expect(references.length).toBeGreaterThan(20);
    const known = (['schemas', 'headers'] as const).flatMap((kind) =>
      Object.keys(document.components[kind]).map((name) => `#/components/${kind}/${name}`),
    );
    expect(known).toEqual(expect.arrayContaining([...new Set(references)]));
    for (const { type, properties = {}, required = [] } of Object.values(document.components.schemas)) {
      expect(type).toBe('object');
      expect(Object.keys(properties)).toEqual(expect.arrayContaining([...required]));
    }
  });

  it('has examples of the types they are examples of', () => {
    for (const { properties = {} } of Object.values(document.components.schemas)) {
      for (const [name, property] of Object.entries(properties)) {
        if (property.example !== undefined) {
          expect({ name, mismatches: mismatches(property.example, property) }).toEqual({ name, mismatches: [] });
        }
      }
    }
  });

  it('describes the answers as they are', async () => {
    const credentials = { email: newEmail(), password: newPassword() };
    const registered = await service.client.register(credentials);
    const loggedIn = await service.client.login(credentials);
    const pair = await service.client.signIn(credentials);
    const mails = new OutgoingMails(database, service);
    const asked = await service.client.post('/auth/email-code', { email: credentials.email });
    const { token: link } = await mails.last(credentials.email, 'sign_in_code');
    const authorization = { authorization: `Bearer ${pair.access_token}` };
    const user = await service.client.signUpAndIn();
    const begun = await service.client.post('/auth/totp', {}, bearerOf(user.pair));
    const enrolled = await enrolTotp(service.client, database, user);
    const raised = await service.client.rotate(user.pair.refresh_token);
    const holder = await service.client.signUpAndIn();
    const authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    const registration = await beginRegistration(service.client, holder.pair);
    const registeredPasskey = await service.client.post(
      '/auth/passkeys',
      { ticket: registration.ticket, credential: authenticator.create(registration.options), name: 'Phone' },
      bearerOf(holder.pair),
    );
    const { ticket, options } = await beginPasskey(service.client);
    const answers = {
      'POST /auth/passkeys/registration': await service.client.post(
        '/auth/passkeys/registration',
        {},
        bearerOf((await service.client.signUpAndIn()).pair),
      ),
      'POST /auth/passkeys': registeredPasskey,
      'PATCH /auth/passkeys/{id}': await send(
        service.client,
        'patch',
        `/auth/passkeys/${authenticator.id}`,
        holder.pair,
        { name: 'Key' },
      ),
      'POST /auth/passkeys/options': await service.client.post('/auth/passkeys/options', {}),
      'POST /auth/login/passkey': await service.client.post('/auth/login/passkey', {
        ticket,
        credential: authenticator.get(options),
      }),
      'GET /.well-known/webauthn': await service.client.get('/.well-known/webauthn'),
      'POST /auth/totp': begun,
      'POST /auth/totp/confirm': enrolled.confirmation,
      'GET /auth/factors': await service.client.get('/auth/factors', raised.access_token),
      'POST /auth/login/second-factor': await service.client.post('/auth/login/second-factor', {
        ticket: await beginSignIn(service.client, user),
        totp: await enrolled.codeNow(),
      }),
      'POST /auth/step-up': await service.client.post(
        '/auth/step-up',
        { recovery_code: enrolled.recoveryCodes[0] },
        bearerOf(raised),
      ),
      'POST /auth/recovery-codes': await service.client.post('/auth/recovery-codes', {}, bearerOf(raised)),
      'POST /auth/register': registered,
      'POST /auth/login': loggedIn,
      'POST /auth/refresh': await service.client.refresh((loggedIn.body as { refresh_token: string }).refresh_token),
      'POST /auth/password/forgot': await service.client.post('/auth/password/forgot', { email: credentials.email }),
      'POST /auth/email': await service.client.post('/auth/email', { new_email: newEmail() }, authorization),
      'POST /auth/email/verification': await service.client.post('/auth/email/verification', {}, authorization),
      'POST /auth/email-code': asked,
      'GET /auth/me': await service.client.me(pair.access_token),
      'GET /auth/sessions': await service.client.sessions(pair.access_token),
      'POST /auth/password': await service.client.changePassword(
        pair.access_token,
        credentials.password,
        newPassword(),
      ),
      'GET /auth/verify': await request(service.url)
        .get('/auth/verify')
        .set('accept', 'application/json')
        .auth(pair.access_token, { type: 'bearer' }),
      'GET /.well-known/jwks.json': await service.client.get('/.well-known/jwks.json'),
      'GET /auth/revocations': await service.client.get('/auth/revocations'),
      'GET /.well-known/keys/{kid}.pem': await service.client.get(
        `/.well-known/keys/${headerOf(pair.access_token)['kid'] as string}.pem`,
      ),
      'GET /.well-known/oauth-authorization-server': await service.client.get(
        '/.well-known/oauth-authorization-server',
      ),
      'GET /.well-known/openid-configuration': await service.client.get('/.well-known/openid-configuration'),
      'POST /auth/login/email-code': await service.client.post('/auth/login/email-code', { token: link }),
      'POST /oauth/token': await request(service.url)
        .post('/oauth/token')
        .type('form')
        .send({
          grant_type: 'refresh_token',
          client_id: 'ratchet',
          refresh_token: (await service.client.signUpAndIn()).pair.refresh_token,
        }),
      'POST /oauth/revoke': await request(service.url)
        .post('/oauth/revoke')
        .type('form')
        .send({ client_id: 'ratchet', token: pair.refresh_token }),
      'GET /': await service.client.get('/'),
      'GET /health/live': await service.client.get('/health/live'),
      'GET /health/started': await service.client.get('/health/started'),
      'GET /health/ready': await service.client.get('/health/ready'),
    };
    const withContent = operations.filter(
      ([, { responses }]) => responses['204'] === undefined || responses['200'] !== undefined,
    );
    expect(Object.keys(answers).sort()).toEqual(withContent.map(([name]) => name).sort());
    for (const [name, { responses }] of withContent) {
      const answer = answers[name as keyof typeof answers];
      const documented = responses[String(answer.status)];
      expect({ name, isDocumented: documented !== undefined }).toEqual({ name, isDocumented: true });
      const [mediaType = ''] = (answer.headers['content-type'] ?? '').split(';');
      expect({ name, mediaTypes: Object.keys(documented?.content ?? {}) }).toEqual({ name, mediaTypes: [mediaType] });
      const content: unknown = /json/.test(mediaType) ? answer.body : answer.text;
      expect({ name, mismatches: mismatches(content, schemaOf(documented!, mediaType)) }).toEqual({
        name,
        mismatches: [],
      });
    }
  });
});

/** `METHOD /path` of every route of every controller, sorted, parameters in braces. */
function implementedOperations(service: TestService): string[] {
  const controllers = [...service.app.get(ModulesContainer).values()].flatMap((module) => [
    ...module.controllers.values(),
  ]);
  return controllers
    .flatMap(({ metatype }) => {
      const prototype = (metatype as { readonly prototype: object }).prototype;
      const prefix = metadataOf('path', metatype as object);
      return Object.getOwnPropertyNames(prototype).flatMap((name) => {
        const handler: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
        const method = typeof handler === 'function' ? metadataOf('method', handler) : undefined;
        if (typeof handler !== 'function' || method === undefined) {
          return [];
        }
        const path = [prefix, metadataOf('path', handler)]
          .map(String)
          .filter((part) => part !== '/')
          .join('/');
        return [`${RequestMethod[Number(method)]} /${path.replace(/:(\w+)/g, '{$1}')}`];
      });
    })
    .sort();
}

/** Nest's decorators keep it with reflect-metadata. */
function metadataOf(key: string, target: object): unknown {
  return Reflect.getMetadata(key, target) as unknown;
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}
