import { afterEach, describe, expect, it, vi } from 'vitest';
import { createAccount, type RatchetAccount, readAccountLink, StepUpRequiredError } from './account.js';
import { RefusedError, SignedOutError, UnavailableError } from './errors.js';
import { ADA, json, lost, problem, setUp, type Setting, within } from './testing-service.js';

const TICKET = { ticket: 'ec1.ticket', expires_in: 3_600 };
const PENDING = { ticket: 'ec1.ticket', expiresInSeconds: 3_600 };
const CODE = { ticket: 'ec1.ticket', code: '01234567' };
const LINK = { token: 'el1.token' };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const noContent = (): Response => new Response(null, { status: 204 });

interface AccountSetting extends Setting {
  readonly client: ReturnType<Setting['open']>;
  readonly account: RatchetAccount;
}

function setUpAccount(mode: 'cookie' | 'token' = 'token'): AccountSetting {
  const setting = setUp(mode);
  const client = setting.open();
  return { ...setting, client, account: createAccount(client) };
}

async function signedIn(mode: 'cookie' | 'token' = 'token'): Promise<AccountSetting> {
  const setting = setUpAccount(mode);
  await within(setting.client.signIn(ADA));
  setting.service.asked.length = 0;
  return setting;
}

describe('a request for a mail, or with what a mail has brought,', () => {
  type Row = [
    string,
    string,
    (account: RatchetAccount) => Promise<unknown>,
    object,
    { readonly reply: () => Response; readonly result?: object; readonly isAsUser?: true },
  ];
  const pending = { reply: () => json(202, TICKET), result: PENDING };
  it.each<Row>([
    [
      'forgotPassword',
      '/auth/password/forgot',
      (account) => account.forgotPassword({ email: ADA.email }),
      { email: ADA.email },
      { reply: () => json(202, {}) },
    ],
    [
      'resetPassword',
      '/auth/password/reset',
      (account) => account.resetPassword({ ...LINK, newPassword: ADA.password }),
      { ...LINK, new_password: ADA.password },
      { reply: noContent },
    ],
    [
      'requestEmailCode',
      '/auth/email-code',
      (account) => account.requestEmailCode({ email: ADA.email }),
      { email: ADA.email },
      pending,
    ],
    [
      'changeEmail',
      '/auth/email',
      (account) => account.changeEmail({ newEmail: ADA.email }),
      { new_email: ADA.email },
      { ...pending, isAsUser: true },
    ],
    ['confirmEmail', '/auth/email/confirm', (account) => account.confirmEmail(CODE), CODE, { reply: noContent }],
    [
      'confirmEmail by link',
      '/auth/email/confirm',
      (account) => account.confirmEmail(LINK),
      LINK,
      { reply: noContent, isAsUser: true },
    ],
    ['undoEmailChange', '/auth/email/undo', (account) => account.undoEmailChange(LINK), LINK, { reply: noContent }],
    [
      'requestEmailVerification',
      '/auth/email/verification',
      (account) => account.requestEmailVerification(),
      {},
      { ...pending, isAsUser: true },
    ],
    ['verifyEmail', '/auth/email/verify', (account) => account.verifyEmail(CODE), CODE, { reply: noContent }],
    [
      'verifyEmail by link',
      '/auth/email/verify',
      (account) => account.verifyEmail(LINK),
      LINK,
      { reply: noContent, isAsUser: true },
    ],
  ])('%s asks %s, with the access token only where that counts', async (_name, path, ask, body, how) => {
    const { service, account } = await signedIn();
    service.script = [how.reply()];
    expect(await within(ask(account))).toEqual(how.result);
    expect(service.asked.map((asked) => [asked.path, asked.body])).toEqual([[path, body]]);
    expect(service.asked[0]?.headers.get('authorization')).toBe(how.isAsUser ? 'Bearer access-1' : null);
    expect(service.asked[0]?.headers.get('content-type')).toBe('application/json');
  });

  it('returns the ticket of a sign-up where addresses have to be proven', async () => {
    const { service, client } = setUpAccount();
    service.script = [json(202, TICKET)];
    expect(await within(client.signUp(ADA))).toEqual(PENDING);
    expect(client.state).toBe('signed_out');
  });

  it('is refused with the code of the service, and ends no session', async () => {
    const { service, client, account } = await signedIn();
    const refusals = [
      [401, 'code_invalid', () => account.confirmEmail(CODE)],
      [401, 'ticket_invalid', () => account.verifyEmail(LINK)],
      [404, 'not_found', () => account.forgotPassword(ADA)],
    ] as const;
    for (const [status, code, ask] of refusals) {
      service.script = [problem(status, code)];
      await expect(within(ask())).rejects.toEqual(new RefusedError(code, status, { status, code }));
    }
    expect([service.refreshes.length, client.state]).toEqual([0, 'signed_in']);
  });

  it('whose answer is lost is not repeated', async () => {
    const { service, account } = await signedIn();
    service.script = [lost, lost];
    await expect(within(account.forgotPassword(ADA))).rejects.toBeInstanceOf(UnavailableError);
    await expect(within(account.changeEmail({ newEmail: ADA.email }))).rejects.toBeInstanceOf(UnavailableError);
    expect(service.asked).toHaveLength(2);
  });

  it('whose access token has expired is repeated once with the next one', async () => {
    const { service, account } = await signedIn();
    service.script = [problem(401, 'access_token_expired'), () => service.pair(), json(202, TICKET)];
    expect(await within(account.changeEmail({ newEmail: ADA.email }))).toEqual(PENDING);
    expect(service.asked.map(({ path }) => path)).toEqual(['/auth/email', '/auth/refresh', '/auth/email']);
    expect(service.asked[2]?.headers.get('authorization')).toBe('Bearer access-2');
  });

  it('says that no one is signed in, for the reason of the service', async () => {
    const { service, client, account } = await signedIn();
    service.script = [problem(401, 'access_token_revoked'), problem(401, 'session_revoked')];
    await expect(within(account.changeEmail({ newEmail: ADA.email }))).rejects.toEqual(
      new SignedOutError('session_revoked'),
    );
    await expect(within(account.verifyEmail(LINK))).rejects.toEqual(new SignedOutError('session_revoked'));
    expect([service.asked.length, client.state]).toEqual([2, 'signed_out']);
  });

  it('is sent with the cookie where no script has the access token', async () => {
    const setting = setUpAccount('cookie');
    setting.service.isAccessCookie = true;
    await within(setting.client.signIn(ADA));
    setting.service.script = [json(202, TICKET)];
    await within(setting.account.requestEmailVerification());
    const asked = setting.service.asked.at(-1);
    expect([asked?.credentials, asked?.headers.get('authorization')]).toEqual(['include', null]);
  });
});

describe('a sign-in that is too old for what is asked', () => {
  it.each([
    [
      'Bearer realm="ratchet", error="insufficient_user_authentication", error_description="Sign in again.", max_age=300',
      { acrValues: undefined, maxAgeSeconds: 300 },
    ],
    [
      'Bearer error="insufficient_user_authentication", acr_values="aal2 aal3", max_age="60"',
      { acrValues: ['aal2', 'aal3'], maxAgeSeconds: 60 },
    ],
    ['Bearer error="insufficient_user_authentication"', { acrValues: undefined, maxAgeSeconds: undefined }],
  ])('is told as what the service demands, without a refresh: %s', async (challenge, demanded) => {
    const { service, client, account } = await signedIn();
    service.script = [problem(401, 'insufficient_user_authentication', { 'www-authenticate': challenge })];
    const error: unknown = await within(account.changeEmail({ newEmail: ADA.email })).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(StepUpRequiredError);
    expect(error).toMatchObject({ code: 'insufficient_user_authentication', ...demanded });
    expect([service.asked.length, client.state]).toEqual([1, 'signed_in']);
  });
});

describe('a session that a mail opens', () => {
  const WAYS = [
    ['completeSignUp', '/auth/register/complete', (account: RatchetAccount) => account.completeSignUp(CODE), CODE],
    [
      'completeSignUp by link',
      '/auth/register/complete',
      (account: RatchetAccount) => account.completeSignUp({ ...LINK, password: ADA.password }),
      { ...LINK, password: ADA.password },
    ],
    ['signInWithCode', '/auth/login/email-code', (account: RatchetAccount) => account.signInWithCode(CODE), CODE],
    [
      'signInWithCode by link',
      '/auth/login/email-code',
      (account: RatchetAccount) => account.signInWithCode(LINK),
      LINK,
    ],
  ] as const;

  it.each(WAYS)('by %s is stored as that of a sign-in, for all tabs', async (_name, path, ask, body) => {
    for (const mode of ['token', 'cookie'] as const) {
      const { service, store, client, account, open } = setUpAccount(mode);
      const told = vi.fn();
      client.on('signed_in', told);
      await within(ask(account));
      expect(service.asked.map((asked) => [asked.path, asked.body, asked.headers.get('authorization')])).toEqual([
        [path, body, null],
      ]);
      expect(client.state).toBe('signed_in');
      expect(told).toHaveBeenCalledTimes(1);
      expect(await within(client.accessToken())).toBe('access-1');
      expect(store.record['refresh_token']).toBe(mode === 'token' ? 'refresh-1' : undefined);
      expect(open().state).toBe('signed_in');
    }
  });

  it.each(WAYS)('by %s is not opened while another tab refreshes, and no refresh overwrites it', async (...way) => {
    const [, path, ask] = way;
    const { service, client, account, open } = await signedIn();
    const other = open();
    vi.advanceTimersByTime(300_000);
    let answer = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      answer = resolve;
    });
    service.script = [
      async () => {
        await late;
        return service.pair();
      },
    ];
    const refreshed = other.accessToken();
    await vi.advanceTimersByTimeAsync(1_000);
    const opened = ask(account);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.asked.map((asked) => asked.path)).toEqual(['/auth/refresh']);
    answer();
    await within(Promise.all([refreshed, opened]));
    expect(service.asked.map((asked) => asked.path)).toEqual(['/auth/refresh', path]);
    expect(await within(client.accessToken())).toBe('access-3');
    expect(await within(other.accessToken())).toBe('access-3');
  });

  it('is not one when the code is wrong, and leaves the session that is there', async () => {
    const { service, store, client, account } = await signedIn();
    const before = store.text;
    service.script = [problem(401, 'code_invalid')];
    await expect(within(account.signInWithCode(CODE))).rejects.toMatchObject({ code: 'code_invalid', status: 401 });
    expect([store.text, client.state]).toEqual([before, 'signed_in']);
  });

  it('may be there after a lost answer in cookie mode, so the service is asked', async () => {
    const { service, client, account } = await signedIn('cookie');
    service.script = [lost];
    await expect(within(account.signInWithCode(CODE))).rejects.toBeInstanceOf(UnavailableError);
    expect(client.state).toBe('unknown');
    expect(await within(client.ready())).toBe('signed_in');
    expect(service.refreshes).toHaveLength(1);
  });
});

describe('the link of a mail', () => {
  const at = (hash: string): { hash: string; pathname: string; search: string } => ({
    hash,
    pathname: '/account',
    search: '?lang=ko',
  });

  it.each([
    'registration',
    'password_reset',
    'email_change',
    'email_change_undo',
    'sign_in_code',
    'email_verification',
  ])('for %s is read once, and its token leaves the address', (purpose) => {
    const replaceState = vi.fn();
    vi.stubGlobal('history', { state: { page: 1 }, replaceState });
    expect(readAccountLink(at(`#${purpose}=rl1.A-z_09`))).toEqual({ purpose, token: 'rl1.A-z_09' });
    expect(replaceState.mock.calls).toEqual([[{ page: 1 }, '', '/account?lang=ko']]);
  });

  it('is taken from the address of the page, where there is one', () => {
    expect(readAccountLink()).toBeUndefined();
    vi.stubGlobal('history', { state: null, replaceState: vi.fn() });
    vi.stubGlobal('location', at('#password_reset=pr1.token'));
    expect(readAccountLink()).toEqual({ purpose: 'password_reset', token: 'pr1.token' });
  });

  it.each([
    '',
    '#',
    '#orders',
    '#password_reset',
    '#password_reset=',
    '#oidc_flow=of1.token',
    '#password_reset=a.b&c=d',
  ])('is not what any other address has: %s', (hash) => {
    const replaceState = vi.fn();
    vi.stubGlobal('history', { state: null, replaceState });
    expect(readAccountLink(at(hash))).toBeUndefined();
    expect(replaceState).not.toHaveBeenCalled();
  });
});
