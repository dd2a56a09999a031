import type {
  ClockBody,
  FaultBody,
  NamespaceAnswer,
  NamespaceBody,
  SessionBody,
  TokenBody,
  UserBody,
} from '../contract.js';
import { FAULT_CODES } from './fault-answer.mjs';
import { FARTHEST_SECONDS, type Namespace } from './namespace.mjs';
import type { Namespaces } from './namespaces.mjs';
import { type BodySchema, readBody, type Schema } from './schema.mjs';

/** What a route is called with. */
export interface Call {
  readonly runner: RunnerFacts;
  readonly namespaces: Namespaces;
  /** The parameters of the path, by name. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: unknown;
  /** Describes a namespace as this caller reaches it. */
  readonly describe: (namespace: Namespace) => NamespaceAnswer;
}

export interface RunnerFacts {
  readonly version: string;
  readonly pid: number;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** The path, with `{ns}` and `{id}` for its parameters. */
  readonly path: string;
  readonly summary: string;
  readonly body?: Schema;
  readonly query?: Readonly<Record<string, Schema>>;
  readonly answers: Readonly<Record<number, { readonly description: string; readonly schema?: Schema }>>;
  readonly run: (call: Call) => Promise<Answer> | Answer;
}

const TEXT: Schema = { type: 'string' };
const USER_ID: Schema = {
  type: 'string',
  format: 'uuid',
  description: 'Of a user of the namespace; without it, a new one is made.',
};
const ROLES: Schema = { type: 'array', items: TEXT, maxItems: 32, example: ['admin'] };

const NAMESPACE_BODY: BodySchema<NamespaceBody> = {
  type: 'object',
  properties: {
    config: {
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'Variables of the service, by name.',
      example: { ACCESS_TOKEN_TTL_SECONDS: '60' },
    },
  },
};

const NAMESPACE: Schema = {
  type: 'object',
  properties: { name: TEXT, url: TEXT, issuer: TEXT, audience: TEXT, jwks_uri: TEXT },
  required: ['name', 'url', 'issuer', 'audience', 'jwks_uri'],
};

const STATUS: Schema = { type: 'string', enum: ['active', 'disabled'] };

const USERS_BODY: BodySchema<readonly UserBody[]> = {
  type: 'array',
  minItems: 1,
  maxItems: 1_000,
  items: {
    type: 'object',
    properties: {
      email: { type: 'string', maxLength: 254, description: 'By default a fresh one.', example: 'ada@example.com' },
      password: {
        type: 'string',
        maxLength: 1_024,
        description: 'By default one that is the same for all users. The rules for new passwords do not apply.',
      },
      roles: ROLES,
      status: STATUS,
      totp: { type: 'boolean', description: 'With an authenticator app and ten recovery codes.' },
    },
  },
};

const USERS: Schema = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      id: TEXT,
      email: TEXT,
      password: TEXT,
      roles: { type: 'array', items: TEXT },
      status: STATUS,
      totp: {
        type: 'object',
        properties: {
          secret: { type: 'string', description: 'In base32.' },
          recovery_codes: { type: 'array', items: TEXT },
        },
        required: ['secret', 'recovery_codes'],
      },
    },
    required: ['id', 'email', 'password', 'roles', 'status'],
  },
};

const TOTP_BODY: BodySchema<{ readonly user_id: string }> = {
  type: 'object',
  properties: { user_id: { type: 'string', format: 'uuid' } },
  required: ['user_id'],
};

const TOTP_CODE: Schema = { type: 'object', properties: { code: TEXT }, required: ['code'] };

const TOKEN_BODY: BodySchema<TokenBody> = {
  type: 'object',
  properties: {
    user_id: USER_ID,
    roles: { ...ROLES, description: 'Of the new user.' },
    expired: { type: 'boolean', description: 'Its life ended a second ago.' },
    session: { type: 'string', enum: ['live', 'ended'] },
    claims: { type: 'object', description: 'Replace those of a good token.', example: { aud: 'another' } },
    omit: { type: 'array', items: TEXT, description: 'Claims that are left out.', example: ['exp'] },
    typ: { type: 'string', description: 'Of the header.', example: 'JWT' },
    kid: { type: 'string', description: 'Of the header; the key that signs stays.' },
    signature: {
      type: 'string',
      enum: ['good', 'broken', 'none', 'unknown-key'],
      description:
        '`broken`: one bit is another. `none`: an empty one, and the `alg` says so. `unknown-key`: of a key that is not published.',
    },
  },
};

const TOKEN: Schema = {
  type: 'object',
  properties: { access_token: TEXT, claims: { type: 'object' } },
  required: ['access_token', 'claims'],
};

const SESSION_BODY: BodySchema<SessionBody> = {
  type: 'object',
  properties: {
    user_id: USER_ID,
    roles: { ...ROLES, description: 'Of the new user.' },
    state: {
      type: 'string',
      enum: ['live', 'ended', 'reused', 'expired', 'idle_expired'],
      description:
        '`ended`: by a logout. `reused`: because a used token was presented. `expired`: at its absolute end, a second ago. ' +
        '`idle_expired`: not refreshed for too long.',
    },
    generation: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'Of the refresh token: 1 after the login, 2 after the first refresh.',
    },
  },
};

const TOKEN_PAIR: Schema = {
  type: 'object',
  properties: {
    access_token: TEXT,
    token_type: TEXT,
    expires_in: { type: 'integer' },
    refresh_token: TEXT,
    refresh_expires_in: { type: 'integer' },
  },
  required: ['access_token', 'token_type', 'expires_in', 'refresh_token', 'refresh_expires_in'],
};

const CLOCK_BODY: BodySchema<ClockBody> = {
  type: 'object',
  description: 'Without members, the clock is the real one again.',
  properties: {
    advance_seconds: { type: 'number', minimum: 0, maximum: FARTHEST_SECONDS, example: 86_400 },
    at: { type: 'string', format: 'date-time', description: 'By default the present instant.' },
    frozen: { type: 'boolean', description: 'Whether the clock stands still from then on.' },
  },
};

const CLOCK: Schema = {
  type: 'object',
  properties: { now: TEXT, frozen: { type: 'boolean' } },
  required: ['now', 'frozen'],
};

const FAULT_BODY: BodySchema<FaultBody> = {
  type: 'object',
  properties: {
    method: { type: 'string', pattern: '^[A-Z]+$', example: 'POST' },
    path: {
      type: 'string',
      pattern: '^/',
      description: 'Exact, or a prefix that ends in `*`.',
      example: '/auth/refresh',
    },
    status: {
      type: 'integer',
      minimum: 400,
      maximum: 599,
      description: 'Answers in place of the service. One that the service has no code for is answered without a body.',
    },
    code: { type: 'string', enum: FAULT_CODES, description: 'Answers with this problem in place of the service.' },
    retry_after: { type: 'integer', minimum: 0, maximum: 86_400, description: 'Seconds.' },
    delay_ms: { type: 'integer', minimum: 0, maximum: 60_000, description: 'Before anything else happens.' },
    cut: {
      type: 'string',
      enum: ['before', 'after'],
      description: 'Cuts the connection before the service gets the request, or after it has answered.',
    },
    times: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'How often it strikes; without it, always.',
    },
    skip: { type: 'integer', minimum: 0, maximum: 1_000_000, description: 'How many requests it lets pass first.' },
  },
};

const FAULT: Schema = {
  type: 'object',
  properties: { ...FAULT_BODY.properties, id: TEXT, hits: { type: 'integer' } },
  required: ['id', 'hits'],
};

const KEYS_BODY: BodySchema<{ readonly force?: boolean }> = {
  type: 'object',
  properties: { force: { type: 'boolean', description: 'The new key signs at once.' } },
};

const KEY: Schema = {
  type: 'object',
  properties: { kid: TEXT, status: { type: 'string', enum: ['next', 'active'] } },
  required: ['kid', 'status'],
};

const REQUESTS: Schema = {
  type: 'object',
  properties: {
    requests: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          at: TEXT,
          method: TEXT,
          path: TEXT,
          status: {
            type: ['integer', 'null'],
            description: 'Null when the request was cut off before it was answered.',
          },
          code: TEXT,
          request_id: TEXT,
          user_id: TEXT,
          sid: TEXT,
          fault: TEXT,
        },
        required: ['at', 'method', 'path', 'status'],
      },
    },
    cursor: { type: 'integer' },
  },
  required: ['requests', 'cursor'],
};

const OUTBOX: Schema = {
  type: 'object',
  properties: {
    messages: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          id: TEXT,
          at: TEXT,
          to: TEXT,
          subject: TEXT,
          text: TEXT,
          html: TEXT,
          links: { type: 'array', items: TEXT, description: 'The addresses in the text.' },
          codes: { type: 'array', items: TEXT, description: 'The codes of eight digits in the text.' },
        },
        required: ['id', 'at', 'to', 'subject', 'text', 'html', 'links', 'codes'],
      },
    },
    cursor: { type: 'integer' },
  },
  required: ['messages', 'cursor'],
};

const HEALTH: Schema = {
  type: 'object',
  properties: { version: TEXT, pid: { type: 'integer' }, namespaces: { type: 'array', items: TEXT } },
  required: ['version', 'pid', 'namespaces'],
};

/** Everything below `/test`, except the description of it. */
export const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/test/health',
    summary: 'The runner and its namespaces',
    answers: { 200: { description: 'The runner serves.', schema: HEALTH } },
    run: showHealth,
  },
  {
    method: 'PUT',
    path: '/test/{ns}',
    summary: 'Make a namespace, unless it is there',
    body: NAMESPACE_BODY,
    answers: {
      200: { description: 'It was there.', schema: NAMESPACE },
      201: { description: 'It has been made.', schema: NAMESPACE },
    },
    run: provideNamespace,
  },
  {
    method: 'DELETE',
    path: '/test/{ns}',
    summary: 'Drop a namespace with its database',
    answers: { 204: { description: 'It is gone.' } },
    run: dropNamespace,
  },
  {
    method: 'POST',
    path: '/test/{ns}/reset',
    summary: 'Delete everything in a namespace except its keys, and undo clock, faults, requests and mails',
    answers: { 204: { description: 'The namespace is as new; its tokens of before are refused.' } },
    run: reading(async (namespace) => {
      await namespace.reset();
      return { status: 204 };
    }),
  },
  {
    method: 'POST',
    path: '/test/{ns}/users',
    summary: 'Make users',
    body: USERS_BODY,
    answers: { 201: { description: 'In the order of the request.', schema: USERS } },
    run: changing(async (namespace, { body }) => ({
      status: 201,
      body: await namespace.users.make(readBody(USERS_BODY, body)),
    })),
  },
  {
    method: 'POST',
    path: '/test/{ns}/totp',
    summary: "Show the code of a user's authenticator app",
    body: TOTP_BODY,
    answers: { 200: { description: 'The service accepts it, even if it has been used.', schema: TOTP_CODE } },
    run: changing(async (namespace, { body }) => ({
      status: 200,
      body: { code: await namespace.apps.code(readBody(TOTP_BODY, body).user_id) },
    })),
  },
  {
    method: 'POST',
    path: '/test/{ns}/tokens',
    summary: 'Make an access token, good or wrong in any way',
    body: TOKEN_BODY,
    answers: { 201: { description: 'The token, and what is in it.', schema: TOKEN } },
    run: changing(async (namespace, { body }) => ({
      status: 201,
      body: await namespace.sessions.mint(readBody(TOKEN_BODY, body)),
    })),
  },
  {
    method: 'POST',
    path: '/test/{ns}/sessions',
    summary: 'Make a session in any state',
    body: SESSION_BODY,
    answers: { 201: { description: 'The pair that its client holds.', schema: TOKEN_PAIR } },
    run: changing(async (namespace, { body }) => ({
      status: 201,
      body: await namespace.sessions.open(readBody(SESSION_BODY, body)),
    })),
  },
  {
    method: 'GET',
    path: '/test/{ns}/clock',
    summary: 'Read the clock',
    answers: { 200: { description: 'The time of the namespace.', schema: CLOCK } },
    run: reading((namespace) => ({ status: 200, body: namespace.readClock() })),
  },
  {
    method: 'PUT',
    path: '/test/{ns}/clock',
    summary: 'Set the clock, and run what is due by then',
    body: CLOCK_BODY,
    answers: { 200: { description: 'Everything judges by this time.', schema: CLOCK } },
    run: changing(async (namespace, { body }) => ({
      status: 200,
      body: await namespace.changeClock(readBody(CLOCK_BODY, body)),
    })),
  },
  {
    method: 'POST',
    path: '/test/{ns}/faults',
    summary: 'Let requests fail',
    body: FAULT_BODY,
    answers: { 201: { description: 'The fault is there.', schema: FAULT } },
    run: reading((namespace, { body }) => ({ status: 201, body: namespace.faults.add(readBody(FAULT_BODY, body)) })),
  },
  {
    method: 'GET',
    path: '/test/{ns}/faults',
    summary: 'List the faults',
    answers: { 200: { description: 'All of them.', schema: { type: 'array', items: FAULT } } },
    run: reading((namespace) => ({ status: 200, body: namespace.faults.list() })),
  },
  {
    method: 'GET',
    path: '/test/{ns}/faults/{id}',
    summary: 'See how often a fault was applied',
    answers: { 200: { description: 'The fault.', schema: FAULT } },
    run: reading((namespace, { parameters }) => ({
      status: 200,
      body: namespace.faults.get(parameters['id'] ?? ''),
    })),
  },
  {
    method: 'DELETE',
    path: '/test/{ns}/faults/{id}',
    summary: 'Remove a fault',
    answers: { 200: { description: 'The fault as it was.', schema: FAULT } },
    run: reading((namespace, { parameters }) => ({
      status: 200,
      body: namespace.faults.remove(parameters['id'] ?? ''),
    })),
  },
  {
    method: 'POST',
    path: '/test/{ns}/keys/rotate',
    summary: 'Rotate the signing keys',
    body: KEYS_BODY,
    answers: { 200: { description: 'The new key.', schema: KEY } },
    run: changing(async (namespace, { body }) => ({
      status: 200,
      body: await namespace.rotateKeys(readBody(KEYS_BODY, body).force === true),
    })),
  },
  {
    method: 'GET',
    path: '/test/{ns}/requests',
    summary: 'List the last 1,000 requests',
    query: {
      path: { type: 'string', description: 'Exact, or a prefix that ends in `*`.' },
      after: { type: 'string', pattern: '^\\d{1,15}$', description: 'The cursor of an earlier answer.' },
    },
    answers: { 200: { description: 'Those that have been answered, the oldest first.', schema: REQUESTS } },
    run: reading((namespace, { query }) => ({
      status: 200,
      body: namespace.journal.list(query.get('path') ?? undefined, Number(query.get('after') ?? 0)),
    })),
  },
  {
    method: 'GET',
    path: '/test/{ns}/outbox',
    summary: 'List the last 1,000 mails, or wait for the next one',
    query: {
      to: { type: 'string', description: 'The recipient.' },
      after: { type: 'string', pattern: '^\\d{1,15}$', description: 'The cursor of an earlier answer.' },
      wait: {
        type: 'string',
        pattern: '^(?:[12]?\\d(?:\\.\\d{1,3})?|30(?:\\.0{1,3})?)$',
        description: 'For how many seconds an answer without messages waits for the next one; 30 at most.',
      },
    },
    answers: { 200: { description: 'What the service has sent, the oldest first.', schema: OUTBOX } },
    run: reading(async (namespace, { query }) => ({
      status: 200,
      body: await namespace.outbox.list({
        to: query.get('to') ?? undefined,
        after: Number(query.get('after') ?? 0),
        waitSeconds: Number(query.get('wait') ?? 0),
      }),
    })),
  },
];

function showHealth({ runner, namespaces }: Call): Answer {
  return { status: 200, body: { ...runner, namespaces: namespaces.names } };
}

async function provideNamespace({ namespaces, parameters, body, describe }: Call): Promise<Answer> {
  const { config } = readBody(NAMESPACE_BODY, body);
  const { namespace, isNew } = await namespaces.provide(parameters['ns'] ?? '', config);
  return { status: isNew ? 201 : 200, body: describe(namespace) };
}

async function dropNamespace({ namespaces, parameters }: Call): Promise<Answer> {
  await namespaces.drop(parameters['ns'] ?? '');
  return { status: 204 };
}

function namespaceOf({ namespaces, parameters }: Call): Namespace {
  return namespaces.get(parameters['ns'] ?? '');
}

type Work = (namespace: Namespace, call: Call) => Promise<Answer> | Answer;

function reading(work: Work): Route['run'] {
  return (call) => work(namespaceOf(call), call);
}

/** A reset waits until it has ended, and it until a reset has. */
function changing(work: Work): Route['run'] {
  return async (call) => {
    const namespace = namespaceOf(call);
    const leave = await namespace.gate.enter();
    try {
      return await work(namespace, call);
    } finally {
      leave();
    }
  };
}
