import { beforeAll, describe, expect, it, vi } from 'vitest';
import { randomUUID } from 'node:crypto';
import { AccessTokenGuard } from '../src/auth/access-tokens/access-token.guard.js';
import { PasskeysService } from '../src/factors/passkeys.service.js';
import { PASSKEYS_PER_USER } from '../src/factors/passkeys.types.js';
import { beginSignIn, beginTotp, type EnrolledTotp, enrolTotp } from './support/factors.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails, otherThan } from './support/outgoing-mails.js';
import {
  beginPasskey,
  beginRegistration,
  enrolPasskey,
  PASSKEY_ORIGIN,
  RELATED_PASSKEYS_ON,
} from './support/passkeys.js';
import { exchange } from './support/raw-exchange.js';
import { type RawAnswer, sendRaw } from './support/raw-request.js';
import { SoftwareAuthenticator } from './support/software-authenticator.js';
import { type Account, newEmail, newIdempotencyKey, newPassword, type TokenPair } from './support/test-client.js';
import { headerOf } from './support/token-forge.js';
import { useInstance, useService } from './support/use-service.js';

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

interface Header {
  readonly $ref?: string;
  readonly required?: boolean;
  readonly schema?: Schema;
}

interface Response {
  readonly description: string;
  readonly headers: Readonly<Record<string, Header>>;
  readonly content?: Readonly<Record<string, { readonly examples?: Readonly<Record<string, object>> }>>;
}

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, Response>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly headers: Readonly<Record<string, Header>>;
  };
}

/** A request that succeeds. */
interface Sample {
  readonly pathParameters?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly accessToken?: string;
  readonly json?: Readonly<Record<string, unknown>>;
  readonly form?: Readonly<Record<string, string>>;
}

type SignedIn = Account & { readonly pair: TokenPair };
type Answers = Readonly<Record<string, () => Promise<RawAnswer>>>;

/** On every answer whatever it is, or of the connection. */
const UNDECLARED_HEADERS: readonly string[] = [
  'connection',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'strict-transport-security',
  'x-content-type-options',
];

const JSON_TYPE = ['content-type', 'application/json'] as const;
const FORM_TYPE = ['content-type', 'application/x-www-form-urlencoded'] as const;

const EVERYTHING_ON = {
  ...MAIL_ON,
  ...RELATED_PASSKEYS_ON,
  EMAIL_SIGN_IN: 'on',
} as const;

/** Those of a tag are tried in one test, and the many of second factors in two. */
const GROUPS = [
  'auth',
  'sessions',
  'mail',
  'factors of a session',
  'factors of a sign-in',
  'oauth',
  'gateway',
  'keys',
  'health',
] as const;

type Group = (typeof GROUPS)[number];

describe('the OpenAPI document and the service', () => {
  const { database, service } = useService(EVERYTHING_ON);
  const limited = useInstance(database, { ...EVERYTHING_ON, RATE_LIMITS: 'on' });
  const mails = new OutgoingMails(database, service);
  const strict = useInstance(database, { PASSWORD_MIN_LENGTH: '15' });
  let document: Document;
  let operations: readonly { readonly method: string; readonly path: string; readonly operation: Operation }[];

  beforeAll(async () => {
    document = (await service.client.get('/openapi.json')).body as Document;
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
  });

  const operationsOf = (group: Group): typeof operations => operations.filter((each) => groupOf(each) === group);

  const newAccount = (): Promise<SignedIn> => service.client.signUpAndIn();

  /** An account with an authenticator app, in a session that has proved it. */
  async function newOwner(): Promise<SignedIn & { readonly totp: EnrolledTotp }> {
    const account = await newAccount();
    const totp = await enrolTotp(service.client, database, account);
    return { ...account, totp, pair: await service.client.rotate(account.pair.refresh_token) };
  }

  /** An account with a passkey, in a session that has proved it. */
  async function newHolder(): Promise<SignedIn & { readonly authenticator: SoftwareAuthenticator }> {
    const account = await newAccount();
    const { authenticator } = await enrolPasskey(service.client, account.pair);
    return { ...account, authenticator, pair: await service.client.rotate(account.pair.refresh_token) };
  }

  async function registrationOf(account: SignedIn): Promise<Sample> {
    const { ticket, options } = await beginRegistration(service.client, account.pair);
    const credential = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).create(options);
    return { accessToken: account.pair.access_token, json: { ticket, credential, name: 'Phone' } };
  }

  async function passkeySignIn(): Promise<Record<string, unknown>> {
    const { authenticator } = await newHolder();
    const { ticket, options } = await beginPasskey(service.client);
    return { ticket, credential: authenticator.get(options) };
  }

  async function secondStep(): Promise<Readonly<Record<string, unknown>>> {
    const owner = await newOwner();
    return { ticket: await beginSignIn(service.client, owner), totp: await owner.totp.codeNow() };
  }

  async function confirmation(account: SignedIn): Promise<Sample> {
    const app = await beginTotp(service.client, database, account.pair.access_token);
    return { accessToken: account.pair.access_token, json: { totp: await app.code() } };
  }

  /** Gives an account as many passkeys as it may have. */
  const fillPasskeys = ({ id }: SignedIn): Promise<unknown> =>
    database.sql(
      `insert into passkeys
       select uuid_send(gen_random_uuid()), $1, 'example.com', '', -7, 0, '{}', $1, false, false, 'Phone', now()
       from generate_series(1, $2::int)`,
      [id, PASSKEYS_PER_USER],
    );

  const withForm = async (name: string): Promise<Sample> => ({
    form: { client_id: 'ratchet', [name]: (await newAccount()).pair.refresh_token },
  });

  /** A change of an address, or its proof, that has been asked for. */
  async function asked(
    path: '/auth/email' | '/auth/email/verification',
    account: SignedIn,
    newAddress = newEmail(),
  ): Promise<{ readonly ticket: string; readonly code: string; readonly undo: string }> {
    const isChange = path === '/auth/email';
    const answer = await postJson(
      service.url,
      path,
      isChange ? { new_email: newAddress } : {},
      account.pair.access_token,
    );
    const { ticket } = answer.body as unknown as { ticket: string };
    const { code } = isChange
      ? await mails.last(newAddress, 'email_change')
      : await mails.last(account.email, 'email_verification');
    const undo = isChange ? (await mails.last(account.email, 'email_change_notice')).token : '';
    return { ticket, code, undo };
  }

  const proofOf = async (path: '/auth/email' | '/auth/email/verification'): Promise<Sample> => {
    const { ticket, code } = await asked(path, await newAccount());
    return { json: { ticket, code } };
  };

  async function signInCode(account?: Account): Promise<{ readonly ticket: string; readonly code: string }> {
    const { email } = account ?? (await newAccount());
    const { body } = await postJson(service.url, '/auth/email-code', { email });
    const { ticket } = body as unknown as { ticket: string };
    return { ticket, code: (await mails.last(email, 'sign_in_code')).code };
  }

  const samples: Readonly<Record<string, () => Promise<Sample>>> = {
    register: () => Promise.resolve({ json: { email: newEmail(), password: newPassword() } }),
    login: async () => ({ json: credentialsOf(await service.client.signUp()) }),
    refresh: async () => ({ json: { refresh_token: (await newAccount()).pair.refresh_token } }),
    logout: async () => ({ json: { refresh_token: (await newAccount()).pair.refresh_token } }),
    logoutAll: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    me: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    changePassword: async () => {
      const { pair, password } = await newAccount();
      return { accessToken: pair.access_token, json: { current_password: password, new_password: newPassword() } };
    },
    requestPasswordReset: async () => ({ json: { email: (await newAccount()).email } }),
    resetPassword: async () => {
      const { email } = await newAccount();
      await postJson(service.url, '/auth/password/forgot', { email });
      return { json: { token: (await mails.last(email, 'password_reset')).token, new_password: newPassword() } };
    },
    requestEmailChange: async () => ({
      accessToken: (await newAccount()).pair.access_token,
      json: { new_email: newEmail() },
    }),
    confirmEmailChange: () => proofOf('/auth/email'),
    undoEmailChange: async () => ({ json: { token: (await asked('/auth/email', await newAccount())).undo } }),
    requestEmailVerification: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    verifyEmail: () => proofOf('/auth/email/verification'),
    requestSignInCode: async () => ({ json: { email: (await newAccount()).email } }),
    signInWithCode: async () => ({ json: await signInCode() }),
    beginTotp: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    confirmTotp: async () => confirmation(await newAccount()),
    removeTotp: async () => ({ accessToken: (await newOwner()).pair.access_token }),
    renewRecoveryCodes: async () => ({ accessToken: (await newOwner()).pair.access_token }),
    listFactors: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    stepUp: async () => {
      const { pair, totp } = await newOwner();
      return { accessToken: pair.access_token, json: { totp: await totp.codeNow() } };
    },
    proveSecondFactor: async () => ({ json: await secondStep() }),
    requestPasskeyOptions: () => Promise.resolve({ json: {} }),
    signInWithPasskey: async () => ({ json: await passkeySignIn() }),
    beginPasskeyRegistration: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    registerPasskey: async () => registrationOf(await newAccount()),
    renamePasskey: async () => {
      const { pair, authenticator } = await newHolder();
      return {
        accessToken: pair.access_token,
        pathParameters: { id: authenticator.id },
        json: { name: 'Key' },
      };
    },
    removePasskey: async () => {
      const { pair, authenticator } = await newHolder();
      return { accessToken: pair.access_token, pathParameters: { id: authenticator.id } };
    },
    listSessions: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    endSession: async () => {
      const { access_token } = (await newAccount()).pair;
      const { body } = await service.client.sessions(access_token);
      const [session] = (body as { sessions: { id: string }[] }).sessions;
      return { accessToken: access_token, pathParameters: { id: session!.id } };
    },
    verify: async () => ({ accessToken: (await newAccount()).pair.access_token }),
    getKey: async () => ({
      pathParameters: { kid: String(headerOf((await newAccount()).pair.access_token)['kid']) },
    }),
    exchangeToken: async () => {
      const { form } = await withForm('refresh_token');
      return { form: { ...form, grant_type: 'refresh_token' } };
    },
    revokeToken: () => withForm('token'),
  };

  const sampleOf = async ({ operationId }: Operation): Promise<Sample> => (await samples[operationId]?.()) ?? {};

  function rawOf(method: string, path: string, sample: Sample): Parameters<typeof sendRaw>[1] {
    const { pathParameters = {}, query, headers = {}, accessToken, json, form } = sample;
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => pathParameters[name] ?? '');
    return {
      method,
      path: query === undefined ? filled : `${filled}?${new URLSearchParams(query).toString()}`,
      headers: [
        ...Object.entries(headers),
        ...(accessToken === undefined ? [] : [['authorization', `Bearer ${accessToken}`] as const]),
        ...(json === undefined ? [] : [JSON_TYPE]),
        ...(form === undefined ? [] : [FORM_TYPE]),
      ],
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(form !== undefined && { body: new URLSearchParams(form).toString() }),
      hasOwnConnection: true,
    };
  }

  /** What every operation answers alike. */
  function commonAnswers(method: string, path: string, operation: Operation): Answers {
    const raw = async (): Promise<Parameters<typeof sendRaw>[1]> => rawOf(method, path, await sampleOf(operation));
    const send = async (change: Partial<Parameters<typeof sendRaw>[1]>): Promise<RawAnswer> => {
      const request = await raw();
      return sendRaw(service.url, {
        ...request,
        ...change,
        headers: [...(request.headers ?? []), ...(change.headers ?? [])],
      });
    };
    const withType = async (type: readonly [string, string], body: string): Promise<RawAnswer> => {
      const request = await raw();
      const others = (request.headers ?? []).filter(([name]) => name !== 'content-type');
      return sendRaw(service.url, { ...request, headers: [...others, type], body });
    };
    const [success = ''] = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
    return {
      [success]: () => send({}),
      304: () => send({ headers: [['if-none-match', '*']] }),
      400: async () => lastOf(await exchange(service.url, textOf(await raw(), ['connection: close']))),
      401: async () => {
        const request = await raw();
        const headers = request.headers?.filter(([name]) => name !== 'authorization') ?? [];
        return sendRaw(service.url, { ...request, headers });
      },
      405: () => send({ method: 'PUT' }),
      413: () => withType(isForm(operation) ? FORM_TYPE : JSON_TYPE, `{"a":"${'x'.repeat(17 * 1024)}"}`),
      415: () => withType(['content-type', 'text/plain'], 'x'),
      431: () => send({ headers: [['x-long', 'x'.repeat(17 * 1024)]] }),
      500: async () => {
        const request = await raw();
        const guard = vi.spyOn(AccessTokenGuard.prototype, 'canActivate').mockImplementation(() => {
          throw new Error('a defect');
        });
        try {
          return await sendRaw(service.url, request);
        } finally {
          guard.mockRestore();
        }
      },
      // The fifth request that a connection sends ahead of the answers.
      503: async () => {
        const request = textOf(await raw(), ['host: ratchet']);
        return lastOf(await exchange(service.url, request.repeat(5)));
      },
    };
  }

  const postJson = (url: string, path: string, json: object, accessToken?: string, key?: string): Promise<RawAnswer> =>
    sendRaw(
      url,
      rawOf('POST', path, {
        json: { ...json },
        ...(accessToken !== undefined && { accessToken }),
        ...(key !== undefined && { headers: { 'idempotency-key': key } }),
      }),
    );

  /** Its sessions live on, as between the two steps of a disabling. */
  const disable = ({ id }: SignedIn): Promise<unknown> =>
    database.sql(`update users set status = 'disabled' where id = $1`, [id]);

  async function disabled(): Promise<SignedIn> {
    const account = await newAccount();
    await disable(account);
    return account;
  }

  /** After the first attempt, which opens the counters, nothing is left of what the network may do. */
  async function onceLimited(attempt: () => Promise<RawAnswer>): Promise<RawAnswer> {
    await attempt();
    await database.sql('update rate_limits set points = 1000000');
    try {
      return await attempt();
    } finally {
      await database.sql('delete from rate_limits');
    }
  }

  /** Shows more invalid tokens than a network may. */
  async function afterRefusedTokens(attempt: () => Promise<RawAnswer>): Promise<RawAnswer> {
    let answer = await attempt();
    for (let batch = 0; answer.status !== 429 && batch < 16; batch += 1) {
      [answer] = (await Promise.all(Array.from({ length: 20 }, attempt))) as [RawAnswer];
    }
    return answer;
  }

  const REFUSED = { refresh_token: 'rt1.x' };

  const disabledAsks = async (path: string, json: object): Promise<RawAnswer> =>
    postJson(service.url, path, json, (await disabled()).pair.access_token);

  /** A code that is wrong, and a ticket that is none. */
  const proofAnswers =
    (asking: '/auth/email' | '/auth/email/verification') =>
    (_method: string, path: string): Answers => ({
      401: async () => {
        const { ticket, code } = await asked(asking, await newAccount());
        return postJson(service.url, path, { ticket, code: otherThan(code) });
      },
      429: () => afterRefusedTokens(() => postJson(limited.url, path, { ticket: 'x', code: '00000000' })),
    });

  /** Of what needs a factor: to an account that has been disabled, and to one without. */
  function factorAnswers(
    method: string,
    path: string,
    newUser: () => Promise<SignedIn & { readonly authenticator?: SoftwareAuthenticator }>,
  ): Answers {
    const ask = ({ pair, authenticator }: Awaited<ReturnType<typeof newUser>>): Promise<RawAnswer> => {
      const pathParameters = { id: authenticator?.id ?? 'unknown' };
      return sendRaw(service.url, rawOf(method, path, { accessToken: pair.access_token, pathParameters }));
    };
    return {
      403: async () => {
        const user = await newUser();
        await disable(user);
        return ask(user);
      },
      404: async () => ask(await newAccount()),
    };
  }

  const postForm = (path: string, form: Readonly<Record<string, string>>): Promise<RawAnswer> =>
    sendRaw(limited.url, rawOf('POST', path, { form: { client_id: 'ratchet', ...form } }));

  const withBasic = (method: string, path: string, operation: Operation): Promise<RawAnswer> =>
    sampleOf(operation).then((sample) =>
      sendRaw(service.url, rawOf(method, path, { ...sample, headers: { authorization: 'Basic cmF0Y2hldDp4' } })),
    );

  /** By operation: what it alone answers, or answers in a way of its own. */
  const ownAnswers: Readonly<Record<string, (method: string, path: string, operation: Operation) => Answers>> = {
    register: (_method, path) => ({
      409: async () => postJson(service.url, path, credentialsOf(await service.client.signUp())),
      429: () => onceLimited(() => postJson(limited.url, path, { email: newEmail(), password: newPassword() })),
    }),
    login: (_method, path) => ({
      401: () => postJson(service.url, path, { email: newEmail(), password: newPassword() }),
      403: async () => postJson(service.url, path, credentialsOf(await disabled())),
      429: () => onceLimited(() => postJson(limited.url, path, { email: 'ada@example.com', password: newPassword() })),
    }),
    refresh: (_method, path) => ({
      401: () => postJson(service.url, path, REFUSED),
      403: async () => postJson(service.url, path, { refresh_token: (await disabled()).pair.refresh_token }),
      422: async () => {
        const key = newIdempotencyKey();
        const { refresh_token } = await service.client.rotate((await newAccount()).pair.refresh_token, key);
        return postJson(service.url, path, { refresh_token }, undefined, key);
      },
      429: () => afterRefusedTokens(() => postJson(limited.url, path, REFUSED)),
    }),
    logout: (_method, path) => ({
      401: () => postJson(service.url, path, REFUSED),
      429: () => afterRefusedTokens(() => postJson(limited.url, path, REFUSED)),
    }),
    changePassword: (_method, path) => ({
      403: async () => {
        const { password, pair } = await disabled();
        return postJson(
          service.url,
          path,
          { current_password: password, new_password: newPassword() },
          pair.access_token,
        );
      },
      429: async () => {
        const { access_token } = (await newAccount()).pair;
        const passwords = { current_password: newPassword(), new_password: newPassword() };
        return onceLimited(() => postJson(limited.url, path, passwords, access_token));
      },
    }),
    requestPasswordReset: (_method, path) => ({
      429: () => onceLimited(() => postJson(limited.url, path, { email: newEmail() })),
    }),
    resetPassword: (_method, path) => ({
      401: () => postJson(service.url, path, { token: 'pr1.x', new_password: newPassword() }),
      429: () => afterRefusedTokens(() => postJson(limited.url, path, { token: 'pr1.x', new_password: newPassword() })),
    }),
    requestEmailChange: (_method, path) => ({
      403: () => disabledAsks(path, { new_email: newEmail() }),
      429: async () => {
        const { access_token } = (await newAccount()).pair;
        return onceLimited(() => postJson(limited.url, path, { new_email: newEmail() }, access_token));
      },
    }),
    confirmEmailChange: (method, path) => ({
      ...proofAnswers('/auth/email')(method, path),
      409: async () => {
        const newAddress = newEmail();
        const { ticket, code } = await asked('/auth/email', await newAccount(), newAddress);
        await service.client.register({ email: newAddress, password: newPassword() });
        return postJson(service.url, path, { ticket, code });
      },
    }),
    undoEmailChange: (_method, path) => ({
      401: () => postJson(service.url, path, { token: 'eu1.x' }),
      429: () => afterRefusedTokens(() => postJson(limited.url, path, { token: 'eu1.x' })),
    }),
    requestEmailVerification: (_method, path) => ({
      403: () => disabledAsks(path, {}),
      429: async () => {
        const { access_token } = (await newAccount()).pair;
        return onceLimited(() => postJson(limited.url, path, {}, access_token));
      },
    }),
    verifyEmail: proofAnswers('/auth/email/verification'),
    requestSignInCode: (_method, path) => ({
      429: () => onceLimited(() => postJson(limited.url, path, { email: newEmail() })),
    }),
    signInWithCode: (_method, path) => ({
      401: async () => {
        const { ticket, code } = await signInCode();
        return postJson(service.url, path, { ticket, code: otherThan(code) });
      },
      // Of an account whose mailbox has been proved: the first proof of it would remove the factor.
      403: async () => {
        const account = await newAccount();
        const { text } = await postJson(service.url, path, await signInCode(account));
        await enrolTotp(service.client, database, { ...account, pair: JSON.parse(text) as TokenPair });
        return postJson(service.url, path, await signInCode(account));
      },
      429: () => afterRefusedTokens(() => postJson(limited.url, path, { ticket: 'x', code: '00000000' })),
    }),
    beginTotp: (_method, path) => ({ 403: () => disabledAsks(path, {}) }),
    confirmTotp: (method, path) => ({
      204: async () => sendRaw(service.url, rawOf(method, path, await confirmation(await newOwner()))),
      403: async () => {
        const account = await newAccount();
        const sample = await confirmation(account);
        await disable(account);
        return sendRaw(service.url, rawOf(method, path, sample));
      },
      404: async () => postJson(service.url, path, { totp: '000000' }, (await newAccount()).pair.access_token),
      429: async () => {
        const { access_token } = (await newAccount()).pair;
        return onceLimited(() => postJson(limited.url, path, { totp: '000000' }, access_token));
      },
    }),
    removeTotp: (method, path) => factorAnswers(method, path, newOwner),
    renewRecoveryCodes: (method, path) => factorAnswers(method, path, newOwner),
    stepUp: (_method, path) => ({
      403: async () => {
        const { password, pair } = await newOwner();
        return postJson(service.url, path, { password }, pair.access_token);
      },
      429: async () => {
        const { access_token } = (await newAccount()).pair;
        return onceLimited(() => postJson(limited.url, path, { totp: '000000' }, access_token));
      },
    }),
    proveSecondFactor: (_method, path) => ({
      401: async () => postJson(service.url, path, { ...(await secondStep()), totp: '00000000' }),
      429: () => afterRefusedTokens(() => postJson(limited.url, path, { ticket: 'x', totp: '000000' })),
    }),
    requestPasskeyOptions: (_method, path) => ({
      401: () => postJson(service.url, path, { step_up: true }),
      403: () => disabledAsks(path, { step_up: true }),
      404: async () => postJson(service.url, path, { step_up: true }, (await newAccount()).pair.access_token),
      429: () => afterRefusedTokens(() => postJson(limited.url, path, {})),
    }),
    signInWithPasskey: (_method, path) => ({
      401: async () => postJson(service.url, path, { ...(await passkeySignIn()), ticket: 'wa1.x' }),
      429: async () => {
        const signIn = { ...(await passkeySignIn()), ticket: 'wa1.x' };
        return afterRefusedTokens(() => postJson(limited.url, path, signIn));
      },
    }),
    beginPasskeyRegistration: (_method, path) => ({
      403: () => disabledAsks(path, {}),
      409: async () => {
        const account = await newAccount();
        await fillPasskeys(account);
        return postJson(service.url, path, {}, account.pair.access_token);
      },
    }),
    registerPasskey: (method, path) => ({
      // Before the ticket is used up, a disabled account has no ticket: only between that and the end is it answered as such.
      403: async () => {
        const account = await newAccount();
        const sample = await registrationOf(account);
        const passkeys = service.app.get(PasskeysService);
        const verify = passkeys.verifyRegistration.bind(passkeys);
        const verification = vi.spyOn(passkeys, 'verifyRegistration').mockImplementation(async (...presented) => {
          await disable(account);
          return verify(...presented);
        });
        try {
          return await sendRaw(service.url, rawOf(method, path, sample));
        } finally {
          verification.mockRestore();
        }
      },
      409: async () => {
        const account = await newAccount();
        const sample = await registrationOf(account);
        await fillPasskeys(account);
        return sendRaw(service.url, rawOf(method, path, sample));
      },
      429: async () => {
        const { accessToken, json } = await registrationOf(await newAccount());
        return afterRefusedTokens(() => postJson(limited.url, path, { ...json, ticket: 'wa1.x' }, accessToken));
      },
    }),
    renamePasskey: (method, path) => ({
      404: async () =>
        sendRaw(
          service.url,
          rawOf(method, path, {
            accessToken: (await newAccount()).pair.access_token,
            pathParameters: { id: 'unknown' },
            json: { name: 'Key' },
          }),
        ),
    }),
    removePasskey: (method, path) => factorAnswers(method, path, newHolder),
    endSession: (method, path, operation) => ({
      404: async () =>
        sendRaw(
          service.url,
          rawOf(method, path, { ...(await sampleOf(operation)), pathParameters: { id: randomUUID() } }),
        ),
    }),
    getKey: (method, path) => ({
      404: () => sendRaw(service.url, rawOf(method, path, { pathParameters: { kid: 'unknown' } })),
    }),
    verify: (method, path, operation) => ({
      403: async () =>
        sendRaw(
          service.url,
          rawOf(method, path, { ...(await sampleOf(operation)), headers: { 'x-require-role': 'admin' } }),
        ),
    }),
    exchangeToken: (method, path, operation) => ({
      401: () => withBasic(method, path, operation),
      429: () => afterRefusedTokens(() => postForm(path, { grant_type: 'refresh_token', ...REFUSED })),
    }),
    revokeToken: (method, path, operation) => ({
      401: () => withBasic(method, path, operation),
      429: () => afterRefusedTokens(() => postForm(path, { token: 'rt1.x' })),
    }),
  };

  /** Where an answer differs from what the document says; empty when it does not. */
  function deviations(operation: Operation, answer: RawAnswer): string[] {
    const where = `${operation.operationId} ${answer.status}`;
    const declared = operation.responses[String(answer.status)];
    if (declared === undefined) {
      return [`${where} is not declared`];
    }
    const [mediaType = ''] = (answer.headers['content-type'] ?? '').split(';');
    const content = declared.content?.[mediaType];
    const headers = Object.entries(declared.headers).map(
      ([name, header]) =>
        [name.toLowerCase(), header.$ref === undefined ? header : document.components.headers[name]] as const,
    );
    const sent = Object.keys(answer.headers).filter((name) => !UNDECLARED_HEADERS.includes(name));
    const { code } = answer.body ?? {};
    const reason = answer.headers['x-auth-error'];
    const reasons = declared.headers['X-Auth-Error']?.schema?.enum ?? [];
    return [
      ...(answer.text !== '' && content === undefined ? [`${where} has the undeclared type ${mediaType}`] : []),
      ...(content?.examples !== undefined && code !== undefined && !(code in content.examples)
        ? [`${where} has the undeclared code ${code}`]
        : []),
      ...(typeof reason === 'string' && !reasons.includes(reason)
        ? [`${where} has the undeclared reason ${reason}`]
        : []),
      ...sent.filter((name) => !headers.some(([each]) => each === name)).map((name) => `${where} sends ${name}`),
      ...headers
        .filter(([name, header]) => header?.required === true && answer.headers[name] === undefined)
        .map(([name]) => `${where} lacks ${name}`),
    ];
  }

  it('are compared group by group, in groups that have every operation', () => {
    expect([...new Set(operations.map(groupOf))].sort()).toEqual([...GROUPS].sort());
  });

  it.each(GROUPS)('agree on every status of every operation of %s, with its type, code and headers', async (group) => {
    const found: string[] = [];
    for (const { method, path, operation } of operationsOf(group)) {
      const answers: Answers = {
        ...commonAnswers(method, path, operation),
        ...ownAnswers[operation.operationId]?.(method, path, operation),
      };
      for (const status of Object.keys(operation.responses).filter((each) => each !== 'default')) {
        const answer = await answers[status]?.();
        found.push(
          ...(answer === undefined || String(answer.status) !== status
            ? [`${operation.operationId} ${status} was not produced, but ${answer?.status ?? 'nothing'}`]
            : deviations(operation, answer)),
        );
      }
    }
    expect(found).toEqual([]);
  });

  it('agree on more than 300 answers', () => {
    const statuses = operations.flatMap(({ operation }) => Object.keys(operation.responses));
    expect(statuses.filter((status) => status !== 'default').length).toBeGreaterThan(300);
  });

  it.each(GROUPS)(
    'agree that nothing else is answered to requests of %s that are wrong in many ways',
    async (group) => {
      const bodies = ['null', '[]', '{"a":1}', '{', '['.repeat(100), '"x"', '\u0000'];
      const authorizations = ['Bearer x', 'Bearer ', 'Basic eDp5', `Bearer ${'x'.repeat(9_000)}`];
      const found: string[] = [];
      for (const { method, path, operation } of operationsOf(group)) {
        const sample = rawOf(method, path, await sampleOf(operation));
        const content = sample.headers?.filter(([name]) => name !== 'authorization') ?? [];
        const requests: Parameters<typeof sendRaw>[1][] = [
          ...(method === 'GET' ? [] : bodies).map((body) => ({ ...sample, headers: [JSON_TYPE], body })),
          ...authorizations.map((authorization) => ({
            ...sample,
            headers: [...content, ['authorization', authorization] as const],
          })),
          ...['?wait=x', '?after=x', '?after=1&after=2', `?${'q'.repeat(9_000)}`, '?%zz'].map((query) => ({
            ...sample,
            path: `${sample.path}${query}`,
          })),
          ...['PATCH', 'OPTIONS', 'TRACE']
            .filter((other) => !isOperation(other, sample.path))
            .map((other) => ({ ...sample, method: other })),
          { ...sample, headers: [...(sample.headers ?? []), ['idempotency-key', 'short'] as const] },
          { ...sample, headers: [...(sample.headers ?? []), ['content-encoding', 'gzip'] as const] },
          {
            ...sample,
            headers: [...(sample.headers ?? []), ...Array.from({ length: 256 }, (_, at) => [`x-${at}`, ''] as const)],
          },
        ];
        for (const request of requests) {
          const headers = [...(request.headers ?? []), ['accept', 'application/json'] as const];
          const answer = await sendRaw(service.url, { ...request, headers });
          found.push(...deviations(operation, answer));
        }
      }
      expect([...new Set(found)]).toEqual([]);
    },
  );

  const isOperation = (method: string, path: string): boolean =>
    operations.some(
      (each) => each.method === method && new RegExp(`^${each.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
    );

  function schemaOf({ requestBody }: Operation): Schema {
    const [content] = Object.values(requestBody?.content ?? {});
    const name = content?.schema.$ref?.replace('#/components/schemas/', '') ?? '';
    return document.components.schemas[name] ?? {};
  }

  it('agree on every limit of a value: it is accepted at the limit and refused beyond it', async () => {
    /** A value of that length that is right in every other way. */
    const ofLength: Readonly<Record<string, (length: number) => string>> = {
      email: (length) => `a@${'b.'.repeat((length - 6) / 2)}comm`.padStart(length, randomUUID().slice(0, 4)),
      new_email: (length) => `a@${'b.'.repeat((length - 6) / 2)}comm`.padStart(length, randomUUID().slice(0, 4)),
      password: (length) => newPassword().slice(-Math.min(length, 8)).padEnd(length, 'pw-secret '),
      new_password: (length) => newPassword().slice(-Math.min(length, 8)).padEnd(length, 'pw-secret '),
      current_password: (length) => newPassword().padEnd(length, 'x'),
      'Idempotency-Key': (length) => newIdempotencyKey().slice(-20).padStart(length, 'ik-secret-'),
    };
    /** A token that this service did not issue is refused as such, whatever its shape. */
    const refusals: Readonly<Record<string, number>> = { 'refresh refresh_token': 401, 'logout refresh_token': 401 };
    const tried: string[] = [];
    const found: string[] = [];
    for (const { method, path, operation } of operations) {
      const ask = async (place: string, name: string, valueOf: (current: string) => string): Promise<number> => {
        const sample = await sampleOf(operation);
        const changed = (members: Readonly<Record<string, unknown>> = {}): Record<string, string> => ({
          ...(members as Record<string, string>),
          // A proof stands alone.
          ...('totp' in members && ['password', 'recovery_code'].includes(name) && { totp: undefined as never }),
          [name]: valueOf(typeof members[name] === 'string' ? members[name] : ''),
        });
        const change =
          place === 'query'
            ? { query: changed(sample.query) }
            : place === 'header'
              ? { headers: changed(sample.headers) }
              : sample.json === undefined
                ? { form: changed(sample.form) }
                : { json: changed(sample.json) };
        return (await sendRaw(service.url, rawOf(method, path, { ...sample, ...change }))).status;
      };
      const values = [
        ...operation.parameters.map((parameter) => [parameter.in, parameter.name, parameter.schema] as const),
        ...Object.entries(schemaOf(operation).properties ?? {}).map(
          ([name, schema]) => ['body', name, schema] as const,
        ),
      ];
      for (const [place, name, schema] of values) {
        const { minLength, maxLength, minimum, maximum } = schema;
        const exact = (length: number) => (current: string) =>
          ofLength[name]?.(length) ?? current.slice(0, length).padEnd(length, 'x');
        const limits = [
          ['minLength', minLength, exact, -1],
          ['maxLength', maxLength, exact, 1],
          ['minimum', minimum, (value: number) => () => String(value), -1],
          ['maximum', maximum, (value: number) => () => String(value), 1],
        ] as const;
        for (const [keyword, limit, valueOf, step] of limits) {
          if (limit !== undefined) {
            const key = `${operation.operationId} ${name}`;
            tried.push(`${key} ${keyword} ${limit}`);
            const at = await ask(place, name, valueOf(limit));
            const beyond = await ask(place, name, valueOf(limit + step));
            // A current password or a code of that length is not the right one.
            const isAccepted = at < 300 || (at === 401 && /password$|^totp$|^recovery_code$/.test(name));
            if (!isAccepted || beyond !== (refusals[key] ?? 400)) {
              found.push(`${key} ${keyword} ${limit}: ${at} at it, ${beyond} beyond it`);
            }
          }
        }
      }
    }
    expect(found).toEqual([]);
    expect(tried).toEqual([
      'register email maxLength 254',
      'register password minLength 8',
      'register password maxLength 128',
      'login password maxLength 1024',
      'refresh Idempotency-Key minLength 22',
      'refresh Idempotency-Key maxLength 128',
      'refresh refresh_token minLength 96',
      'refresh refresh_token maxLength 96',
      'logout refresh_token minLength 96',
      'logout refresh_token maxLength 96',
      'changePassword current_password maxLength 1024',
      'changePassword new_password minLength 8',
      'changePassword new_password maxLength 128',
      'listRevocations wait minimum 0',
      'listRevocations wait maximum 99',
      'exchangeToken Idempotency-Key minLength 22',
      'exchangeToken Idempotency-Key maxLength 128',
      'exchangeToken refresh_token minLength 96',
      'exchangeToken refresh_token maxLength 96',
      'requestPasswordReset email maxLength 254',
      'resetPassword new_password minLength 8',
      'resetPassword new_password maxLength 128',
      'requestEmailChange new_email maxLength 254',
      'requestSignInCode email maxLength 254',
      'proveSecondFactor totp maxLength 64',
      'proveSecondFactor recovery_code maxLength 64',
      'confirmTotp totp maxLength 64',
      'stepUp totp maxLength 64',
      'stepUp recovery_code maxLength 64',
      'stepUp password maxLength 1024',
      'registerPasskey name minLength 1',
      'registerPasskey name maxLength 64',
      'renamePasskey name minLength 1',
      'renamePasskey name maxLength 64',
    ]);
  });

  it('agree on unknown members of a body: JSON with one is refused, and a form is accepted', async () => {
    for (const { method, path, operation } of operations.filter(({ operation: each }) => each.requestBody)) {
      const { json, form, ...sample } = await sampleOf(operation);
      const body = json === undefined ? { form: { ...form, unknown: '1' } } : { json: { ...json, unknown: 1 } };
      const { status } = await sendRaw(service.url, rawOf(method, path, { ...sample, ...body }));
      const { operationId } = operation;
      const isOpen = schemaOf(operation).additionalProperties !== false;
      expect({ operationId, isOpen, status }).toEqual({
        operationId,
        isOpen: form !== undefined,
        status: isOpen ? 200 : 400,
      });
    }
  });

  it('agree on unknown members of a passkey inside of a body: they are refused', async () => {
    expect(document.components.schemas['PasskeyProofDto']?.additionalProperties).toBe(false);
    const { pair, authenticator } = await newHolder();
    const { ticket, options } = await beginPasskey(service.client, { step_up: true }, pair);
    const passkey = { ticket, credential: authenticator.get(options) };
    const stepUp = (body: object): Promise<RawAnswer> =>
      postJson(service.url, '/auth/step-up', body, pair.access_token);
    expect((await stepUp({ passkey: { ...passkey, unknown: 1 } })).status).toBe(400);
    expect((await stepUp({ passkey })).status).toBe(200);
  });

  it('agree on the shortest password where a setting says it', async () => {
    const { schemas } = ((await strict.client.get('/openapi.json')).body as Document).components;
    expect(schemas['RegistrationDto']?.properties?.['password']?.minLength).toBe(15);
    expect(schemas['PasswordChangeDto']?.properties?.['new_password']?.minLength).toBe(15);
    const answer = await strict.client.register({ email: newEmail(), password: newPassword().slice(-14) });
    expect(answer.status).toBe(400);
  });
});

function groupOf({ path, operation: { tags } }: { readonly path: string; readonly operation: Operation }): Group {
  const [tag = ''] = tags;
  return GROUPS.find((group) => group === tag) ?? (isOfSignIn(path) ? 'factors of a sign-in' : 'factors of a session');
}

/** With passkeys, whose operations are the most. */
function isOfSignIn(path: string): boolean {
  return /login|passkeys|webauthn/.test(path);
}

function credentialsOf({ email, password }: Account): { readonly email: string; readonly password: string } {
  return { email, password };
}

function isForm({ requestBody }: Operation): boolean {
  return Object.keys(requestBody?.content ?? {}).includes('application/x-www-form-urlencoded');
}

/** The request as bytes, with these header lines and without a `Host`. */
function textOf(
  { method = 'GET', path, headers = [], body = '' }: Parameters<typeof sendRaw>[1],
  lines: string[],
): string {
  const all = [
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...lines,
    ...(method === 'GET' ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
  ];
  return `${method} ${path} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n${body.toString()}`;
}

/** The last of the answers on a connection. */
function lastOf(bytes: string): RawAnswer {
  const last = bytes.slice(bytes.lastIndexOf('HTTP/1.1 '));
  const [head = '', text = ''] = last.split('\r\n\r\n', 2);
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return {
    status: Number(statusLine.split(' ')[1]),
    headers,
    text,
    body: text.startsWith('{') ? (JSON.parse(text) as { code?: string }) : undefined,
  };
}
