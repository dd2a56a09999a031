import { afterEach, describe, expect, it, vi } from 'vitest';
import { RefusedError, SignedOutError, UnavailableError } from './errors.js';
import {
  createFactors,
  type RatchetFactors,
  secondFactorIn,
  stepUpIn,
  StepUpRequiredError,
  withStepUp,
} from './factors.js';
import { ADA, json, lost, problem, setUp, type Setting, within } from './testing-service.js';

const CHALLENGE =
  'Bearer error="insufficient_user_authentication", error_description="Sign in again.", acr_values="aal2", max_age=300';
const CODES = ['AAAABBBBCCCCDDDD', 'EEEEFFFFGGGGHHHH'];
const AT = '2026-01-01T00:00:00.000Z';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const noContent = (): Response => new Response(null, { status: 204 });
const tooWeak = (): Response => problem(401, 'insufficient_user_authentication', { 'www-authenticate': CHALLENGE });
const stronger = (service: Setting['service']): Response =>
  json(200, { token_type: 'Bearer', expires_in: 300, ...(!service.isAccessCookie && { access_token: 'stronger' }) });

interface FactorsSetting extends Setting {
  readonly client: ReturnType<Setting['open']>;
  readonly factors: RatchetFactors;
}

function setUpFactors(mode: 'cookie' | 'token' = 'token'): FactorsSetting {
  const setting = setUp(mode);
  const client = setting.open();
  return { ...setting, client, factors: createFactors(client) };
}

async function signedIn(mode: 'cookie' | 'token' = 'token'): Promise<FactorsSetting> {
  const setting = setUpFactors(mode);
  await within(setting.client.signIn(ADA));
  setting.service.asked.length = 0;
  return setting;
}

describe('a sign-in of a user with a second factor', () => {
  const asked = (): Response =>
    json(403, {
      status: 403,
      code: 'second_factor_required',
      ticket: 'lg1.ticket',
      expires_in: 300,
      factors: ['totp', 'recovery_code'],
    });
  const pending = { ticket: 'lg1.ticket', expiresInSeconds: 300, factors: ['totp', 'recovery_code'] };

  it('opens no session and leaves the one that is there, and its error tells what completes it', async () => {
    const { service, store, client } = await signedIn();
    const before = store.text;
    service.script = [asked()];
    const error: unknown = await within(client.signIn(ADA)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RefusedError);
    expect(secondFactorIn(error)).toEqual(pending);
    expect(store.text).toBe(before);
  });

  it('is not what any other error tells of', () => {
    for (const error of [
      undefined,
      'text',
      new Error(),
      new SignedOutError('here'),
      new RefusedError('other', 403, {}),
    ]) {
      expect(secondFactorIn(error)).toBeUndefined();
    }
  });

  it.each([
    ['a code of the app', { totp: '012345' }, { totp: '012345' }],
    ['a recovery code', { recoveryCode: 'AAAABBBBCCCCDDDD' }, { recovery_code: 'AAAABBBBCCCCDDDD' }],
  ])('is completed by %s, and is stored as any sign-in, for all tabs', async (_name, proof, body) => {
    for (const mode of ['token', 'cookie'] as const) {
      const { service, store, client, factors, open } = setUpFactors(mode);
      await within(factors.completeSignIn({ ticket: 'lg1.ticket', ...proof }));
      expect(service.asked.map((each) => [each.path, each.body, each.headers.get('authorization')])).toEqual([
        ['/auth/login/second-factor', { ticket: 'lg1.ticket', ...body }, null],
      ]);
      expect([client.state, open().state]).toEqual(['signed_in', 'signed_in']);
      expect(store.record['refresh_token']).toBe(mode === 'token' ? 'refresh-1' : undefined);
    }
  });

  it('is not completed by a wrong code, which can be typed again', async () => {
    const { service, client, factors } = setUpFactors();
    service.script = [problem(401, 'second_factor_invalid')];
    const proof = { ticket: 'lg1.ticket', totp: '000000' };
    await expect(within(factors.completeSignIn(proof))).rejects.toMatchObject({ code: 'second_factor_invalid' });
    expect(client.state).toBe('signed_out');
    await within(factors.completeSignIn(proof));
    expect(client.state).toBe('signed_in');
  });
});

describe('a step-up', () => {
  it.each([
    ['password', { password: ADA.password }, { password: ADA.password }],
    ['app', { totp: '012345' }, { totp: '012345' }],
    ['recovery code', { recoveryCode: CODES[0] as string }, { recovery_code: CODES[0] }],
  ])('by %s asks as the user, and keeps the session and its refresh token', async (_name, proof, body) => {
    const { service, store, client, factors } = await signedIn();
    const { session } = store.record;
    const told = vi.fn();
    client.on('signed_in', told);
    service.script = [stronger(service)];
    await within(factors.stepUp(proof));
    expect(service.asked.map((each) => [each.path, each.body, each.headers.get('authorization')])).toEqual([
      ['/auth/step-up', body, 'Bearer access-1'],
    ]);
    expect(store.record).toMatchObject({ session, refresh_token: 'refresh-1', access_token: 'stronger' });
    expect(await within(client.accessToken())).toBe('stronger');
    expect(told).not.toHaveBeenCalled();
  });

  it('gives the stronger token to every tab that can have it', async () => {
    const { service, client, factors, open } = await signedIn();
    const other = open();
    service.script = [stronger(service)];
    await within(factors.stepUp({ totp: '012345' }));
    await within(other.wake());
    expect([await within(client.accessToken()), await within(other.accessToken())]).toEqual(['stronger', 'stronger']);
  });

  it('is kept in this tab in cookie mode, and in the cookie where no script has the access token', async () => {
    for (const isAccessCookie of [false, true]) {
      const setting = setUpFactors('cookie');
      const { service, store, client, factors } = setting;
      service.isAccessCookie = isAccessCookie;
      await within(client.signIn(ADA));
      service.script = [stronger(service)];
      await within(factors.stepUp({ totp: '012345' }));
      expect(service.asked.at(-1)?.credentials).toBe('include');
      expect(store.record).toMatchObject({ access_cookie: isAccessCookie, refreshed: 2 });
      expect(JSON.stringify(store.record)).not.toContain('stronger');
      await within(client.fetch(`${setting.baseUrl}/auth/me`));
      expect(service.asked.at(-1)?.headers.get('authorization')).toBe(isAccessCookie ? null : 'Bearer stronger');
    }
  });

  it('keeps the key of a refresh whose answer was lost, so that its repetition is a replay', async () => {
    for (const mode of ['token', 'cookie'] as const) {
      const { service, store, client, factors } = await signedIn(mode);
      vi.advanceTimersByTime(250_000);
      service.script = [lost];
      await within(client.accessToken());
      await vi.advanceTimersByTimeAsync(100);
      const { key } = store.record;
      expect(key).toEqual(expect.any(String));
      service.script = [stronger(service)];
      await within(factors.stepUp({ totp: '012345' }));
      expect(store.record['key']).toBe(key);
      await within(client.accessToken({ minValiditySeconds: 1_000 }));
      expect(service.refreshes.at(-1)?.headers.get('idempotency-key')).toBe(key);
    }
  });

  it('waits for a refresh in another tab, and its token is of the session that it finds', async () => {
    const { service, store, client, factors, open } = await signedIn();
    const other = open();
    let answer = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      answer = resolve;
    });
    service.script = [
      async () => {
        await late;
        return service.pair();
      },
      () => stronger(service),
    ];
    const entered = other.signIn({ ...ADA, email: 'grace@example.com' });
    await vi.advanceTimersByTimeAsync(1_000);
    const steppedUp = factors.stepUp({ totp: '012345' });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.askedFor('/auth/step-up')).toEqual([]);
    answer();
    await within(Promise.all([entered, steppedUp]));
    expect(service.askedFor('/auth/step-up')[0]?.headers.get('authorization')).toBe('Bearer access-2');
    expect(store.record).toMatchObject({ refresh_token: 'refresh-2', access_token: 'stronger' });
    expect(await within(client.accessToken())).toBe('stronger');
  });

  it('that is refused, or whose answer is lost, leaves the session as it was', async () => {
    for (const mode of ['token', 'cookie'] as const) {
      const { service, store, client, factors } = await signedIn(mode);
      const before = store.text;
      service.script = [problem(401, 'second_factor_invalid'), lost];
      await expect(within(factors.stepUp({ totp: '000000' }))).rejects.toMatchObject({ code: 'second_factor_invalid' });
      await expect(within(factors.stepUp({ totp: '000000' }))).rejects.toBeInstanceOf(UnavailableError);
      expect([store.text, client.state]).toEqual([before, 'signed_in']);
    }
  });

  it('asks nothing for a user who is signed out', async () => {
    const { service, factors } = setUpFactors();
    await expect(within(factors.stepUp({ totp: '012345' }))).rejects.toBeInstanceOf(SignedOutError);
    expect(service.asked).toEqual([]);
  });
});

describe('what demands a step-up', () => {
  it('is done again after it, once', async () => {
    const { service, factors } = await signedIn();
    service.script = [tooWeak(), stronger(service), noContent()];
    const prove = vi.fn(() => factors.stepUp({ totp: '012345' }));
    await within(withStepUp(() => factors.removeTotp(), prove));
    expect(service.asked.map(({ path }) => path)).toEqual(['/auth/totp', '/auth/step-up', '/auth/totp']);
    expect(service.asked[2]?.headers.get('authorization')).toBe('Bearer stronger');
    expect(prove.mock.calls).toEqual([[expect.objectContaining({ acrValues: ['aal2'], maxAgeSeconds: 300 })]]);
    service.script = [tooWeak(), stronger(service), tooWeak()];
    await expect(within(withStepUp(() => factors.removeTotp(), prove))).rejects.toBeInstanceOf(StepUpRequiredError);
    expect(service.asked).toHaveLength(6);
  });

  it('is not done again when the user does not want to, or when it has failed otherwise', async () => {
    const { service, factors } = await signedIn();
    const prove = vi.fn(() => Promise.reject(new Error('not now')));
    service.script = [tooWeak(), problem(404, 'not_found')];
    await expect(within(withStepUp(() => factors.removeTotp(), prove))).rejects.toThrow('not now');
    await expect(within(withStepUp(() => factors.removeTotp(), prove))).rejects.toMatchObject({ code: 'not_found' });
    expect([prove.mock.calls.length, service.asked.length]).toEqual([1, 2]);
  });

  it('is read from the answer of any gateway or backend', () => {
    const answer = new Response(null, { status: 401, headers: { 'www-authenticate': CHALLENGE } });
    expect(stepUpIn(answer)).toMatchObject({ acrValues: ['aal2'], maxAgeSeconds: 300 });
    expect(stepUpIn(new Response(null, { status: 401 }))).toBeUndefined();
    expect(
      stepUpIn(new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })),
    ).toBeUndefined();
  });
});

describe('the factors of a user', () => {
  it('are listed', async () => {
    const { service, factors } = await signedIn();
    const passkey = { id: 'id-1', name: 'Phone', created_at: AT, last_used_at: null, backed_up: true };
    service.script = [
      json(200, { totp: { created_at: AT, last_used_at: AT }, passkeys: [passkey], recovery_codes_left: 9 }),
      json(200, { totp: null, passkeys: [], recovery_codes_left: 0 }),
    ];
    expect(await within(factors.list())).toEqual({
      totp: { createdAt: AT, lastUsedAt: AT },
      passkeys: [{ id: 'id-1', name: 'Phone', createdAt: AT, lastUsedAt: undefined, isBackedUp: true }],
      recoveryCodesLeft: 9,
    });
    expect(await within(factors.list())).toEqual({ totp: undefined, passkeys: [], recoveryCodesLeft: 0 });
  });

  it('get an authenticator app, and the next access token says that it was used, however new the present one is', async () => {
    const { service, client, factors } = await signedIn();
    await within(client.accessToken({ minValiditySeconds: 1_000 }));
    service.asked.length = 0;
    service.script = [
      json(200, { secret: 'SECRET', otpauth_uri: 'otpauth://totp/x' }),
      json(200, { recovery_codes: CODES }),
    ];
    expect(await within(factors.beginTotp())).toEqual({ secret: 'SECRET', otpauthUri: 'otpauth://totp/x' });
    expect(await within(factors.confirmTotp({ totp: '012345' }))).toEqual(CODES);
    expect(service.asked.map(({ path, body }) => [path, body])).toEqual([
      ['/auth/totp', {}],
      ['/auth/totp/confirm', { totp: '012345' }],
      ['/auth/refresh', { refresh_token: 'refresh-2' }],
    ]);
    expect(await within(client.accessToken())).toBe('access-3');
    service.script = [noContent()];
    expect(await within(factors.confirmTotp({ totp: '012345' }))).toEqual([]);
  });

  it('stay added when the refresh that follows gets no answer', async () => {
    const { service, factors } = await signedIn();
    service.script = [json(200, { recovery_codes: CODES }), ...Array.from({ length: 50 }, () => lost)];
    expect(await within(factors.confirmTotp({ totp: '012345' }))).toEqual(CODES);
  });

  it('lose the authenticator app, and get new recovery codes', async () => {
    const { service, factors } = await signedIn();
    service.script = [noContent(), json(200, { recovery_codes: CODES })];
    await within(factors.removeTotp());
    expect(await within(factors.renewRecoveryCodes())).toEqual(CODES);
    expect(service.asked.map(({ method, path }) => [method, path])).toEqual([
      ['DELETE', '/auth/totp'],
      ['POST', '/auth/recovery-codes'],
    ]);
  });
});
