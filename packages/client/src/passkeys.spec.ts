import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RefusedError } from './errors.js';
import { canAutofill, createPasskeys, hasPasskeys, type RatchetPasskeys } from './passkeys.js';
import { ADA, json, problem, setUp, type Setting, within } from './testing-service.js';

const AT = '2026-01-01T00:00:00.000Z';
/** Every value of six bits, so both characters that base64 and base64url write differently. */
const BYTES = Uint8Array.from({ length: 256 }, (_unused, index) => index);
const TEXT = Buffer.from(BYTES).toString('base64url');
const [SHORT, SHORT_TEXT] = [Uint8Array.of(251, 255), '-_8'];

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** What the browser would ask of an authenticator, and what that answers. */
const browserAsks = {
  get: vi.fn<(options: object) => Promise<object | null>>(),
  create: vi.fn<(options: object) => Promise<object | null>>(),
};

beforeEach(() => {
  browserAsks.get.mockReset().mockResolvedValue(ASSERTION);
  browserAsks.create.mockReset().mockResolvedValue(ATTESTATION);
  vi.stubGlobal('navigator', { credentials: browserAsks });
});

const ASSERTION = {
  id: SHORT_TEXT,
  rawId: SHORT.buffer,
  type: 'public-key',
  authenticatorAttachment: 'platform',
  response: {
    clientDataJSON: BYTES.buffer,
    authenticatorData: SHORT.buffer,
    signature: BYTES.buffer,
    userHandle: null,
  },
};
const ASSERTION_TEXT = {
  id: SHORT_TEXT,
  rawId: SHORT_TEXT,
  type: 'public-key',
  authenticatorAttachment: 'platform',
  response: { clientDataJSON: TEXT, authenticatorData: SHORT_TEXT, signature: TEXT },
  clientExtensionResults: {},
};
const ATTESTATION = {
  id: SHORT_TEXT,
  rawId: SHORT.buffer,
  type: 'public-key',
  authenticatorAttachment: 'platform',
  response: {
    clientDataJSON: BYTES.buffer,
    attestationObject: BYTES.buffer,
    getTransports: () => ['internal', 'hybrid'],
  },
};
const REQUEST = { challenge: TEXT, rpId: 'example.com', timeout: 300_000, userVerification: 'required' };
const OPTIONS = {
  ticket: 'wa1.ticket',
  options: { ...REQUEST, allowCredentials: [{ type: 'public-key', id: SHORT_TEXT, transports: [] }] },
};
const PROOF = { ticket: 'wa1.ticket', credential: ASSERTION_TEXT };

interface PasskeysSetting extends Setting {
  readonly client: ReturnType<Setting['open']>;
  readonly passkeys: RatchetPasskeys;
}

function setUpPasskeys(mode: 'cookie' | 'token' = 'token'): PasskeysSetting {
  const setting = setUp(mode);
  const client = setting.open();
  return { ...setting, client, passkeys: createPasskeys(client) };
}

async function signedIn(): Promise<PasskeysSetting> {
  const setting = setUpPasskeys();
  await within(setting.client.signIn(ADA));
  setting.service.asked.length = 0;
  return setting;
}

describe('a passkey', () => {
  it('signs in alone, with the bytes that the service and the authenticator have written', async () => {
    for (const mode of ['token', 'cookie'] as const) {
      const { service, client, passkeys } = setUpPasskeys(mode);
      service.script = [json(200, OPTIONS)];
      await within(passkeys.signIn());
      expect(service.asked.map(({ path, body }) => [path, body])).toEqual([
        ['/auth/passkeys/options', {}],
        ['/auth/login/passkey', PROOF],
      ]);
      expect(browserAsks.get).toHaveBeenLastCalledWith({
        publicKey: {
          ...REQUEST,
          challenge: BYTES,
          allowCredentials: [{ type: 'public-key', id: SHORT, transports: [] }],
        },
        signal: expect.any(AbortSignal) as unknown,
      });
      expect(client.state).toBe('signed_in');
    }
  });

  it('completes a sign-in, with the ticket of both', async () => {
    const { service, client, passkeys } = setUpPasskeys();
    service.script = [json(200, OPTIONS)];
    await within(passkeys.completeSignIn({ ticket: 'lg1.ticket' }));
    expect(service.asked.map(({ path, body }) => [path, body])).toEqual([
      ['/auth/passkeys/options', { ticket: 'lg1.ticket' }],
      ['/auth/login/second-factor', { ticket: 'lg1.ticket', passkey: PROOF }],
    ]);
    expect(client.state).toBe('signed_in');
  });

  it('steps up the session that is there', async () => {
    const { service, store, client, passkeys } = await signedIn();
    service.script = [json(200, OPTIONS), json(200, { expires_in: 300, access_token: 'stronger' })];
    await within(passkeys.stepUp());
    expect(service.asked.map((each) => [each.path, each.body, each.headers.get('authorization')])).toEqual([
      ['/auth/passkeys/options', { step_up: true }, 'Bearer access-1'],
      ['/auth/step-up', { passkey: PROOF }, 'Bearer access-1'],
    ]);
    expect(store.record['refresh_token']).toBe('refresh-1');
    expect(await within(client.accessToken())).toBe('stronger');
  });

  it('is made with a name, and the next access token says that it was used', async () => {
    const { service, client, passkeys } = await signedIn();
    const made = { id: SHORT_TEXT, name: 'Phone', created_at: AT, last_used_at: null, backed_up: false };
    service.script = [
      json(200, {
        ticket: 'wa1.ticket',
        options: {
          rp: { id: 'example.com' },
          challenge: TEXT,
          user: { id: SHORT_TEXT, name: ADA.email },
          excludeCredentials: [{ type: 'public-key', id: TEXT }],
        },
      }),
      json(201, { passkey: made, recovery_codes: ['AAAABBBBCCCCDDDD'] }),
    ];
    expect(await within(passkeys.register({ name: 'Phone' }))).toEqual({
      passkey: { id: SHORT_TEXT, name: 'Phone', createdAt: AT, lastUsedAt: undefined, isBackedUp: false },
      recoveryCodes: ['AAAABBBBCCCCDDDD'],
    });
    expect(browserAsks.create.mock.calls[0]?.[0]).toMatchObject({
      publicKey: {
        rp: { id: 'example.com' },
        challenge: BYTES,
        user: { id: SHORT, name: ADA.email },
        excludeCredentials: [{ type: 'public-key', id: BYTES }],
      },
    });
    expect(service.asked.map(({ path }) => path)).toEqual([
      '/auth/passkeys/registration',
      '/auth/passkeys',
      '/auth/refresh',
    ]);
    expect(service.asked[1]?.body).toEqual({
      ticket: 'wa1.ticket',
      name: 'Phone',
      credential: {
        ...ASSERTION_TEXT,
        response: { clientDataJSON: TEXT, attestationObject: TEXT, transports: ['internal', 'hybrid'] },
      },
    });
    expect(await within(client.accessToken())).toBe('access-2');
  });

  it('is renamed and removed', async () => {
    const { service, passkeys } = await signedIn();
    service.script = [json(200, {}), new Response(null, { status: 204 })];
    await within(passkeys.rename({ id: '-_8', name: 'Laptop' }));
    await within(passkeys.remove({ id: '-_8' }));
    expect(service.asked.map(({ method, path, body }) => [method, path, body])).toEqual([
      ['PATCH', '/auth/passkeys/-_8', { name: 'Laptop' }],
      ['DELETE', '/auth/passkeys/-_8', {}],
    ]);
  });

  it('that the user does not give, or the service refuses, changes nothing', async () => {
    const { service, store, passkeys } = await signedIn();
    const before = store.text;
    service.script = [json(200, OPTIONS), json(200, OPTIONS), problem(401, 'second_factor_invalid')];
    browserAsks.get.mockRejectedValueOnce(new DOMException('no', 'NotAllowedError'));
    await expect(within(passkeys.signIn())).rejects.toMatchObject({ name: 'NotAllowedError' });
    await expect(within(passkeys.signIn())).rejects.toBeInstanceOf(RefusedError);
    expect(store.text).toBe(before);
  });
});

describe('a field that offers passkeys', () => {
  /** An authenticator that waits until it is aborted. */
  const wait = (options: object): Promise<never> =>
    new Promise((_resolve, reject) => {
      const { signal } = options as { readonly signal: AbortSignal };
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });

  it('signs in with a challenge that is still good, however late the user picks one', async () => {
    const { service, client, passkeys } = setUpPasskeys();
    service.script = Array.from({ length: 3 }, (_unused, index) => json(200, { ...OPTIONS, ticket: `wa1.${index}` }));
    browserAsks.get.mockImplementationOnce(wait).mockImplementationOnce(wait);
    await within(passkeys.signIn({ autofill: true }), 600_000);
    expect(browserAsks.get).toHaveBeenCalledTimes(3);
    expect(browserAsks.get.mock.calls[0]?.[0]).toMatchObject({ mediation: 'conditional' });
    expect(service.asked.map(({ path, body }) => [path, body['ticket']])).toEqual([
      ['/auth/passkeys/options', undefined],
      ['/auth/passkeys/options', undefined],
      ['/auth/passkeys/options', undefined],
      ['/auth/login/passkey', 'wa1.2'],
    ]);
    expect(client.state).toBe('signed_in');
  });

  it('stops when the page asks for it, before or while the browser waits', async () => {
    const { service, passkeys } = setUpPasskeys();
    service.script = [json(200, OPTIONS), json(200, OPTIONS)];
    browserAsks.get.mockImplementation(wait);
    const aborter = new AbortController();
    const offered = passkeys.signIn({ autofill: true, signal: aborter.signal });
    await vi.advanceTimersByTimeAsync(1_000);
    aborter.abort();
    await expect(within(offered)).rejects.toMatchObject({ name: 'AbortError' });
    await expect(within(passkeys.signIn({ signal: aborter.signal }))).rejects.toMatchObject({ name: 'AbortError' });
    expect(browserAsks.get).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('exists only where the browser says so', async () => {
    expect([hasPasskeys(), await canAutofill()]).toEqual([false, false]);
    vi.stubGlobal('PublicKeyCredential', {});
    expect([hasPasskeys(), await canAutofill()]).toEqual([true, false]);
    vi.stubGlobal('PublicKeyCredential', { isConditionalMediationAvailable: () => Promise.resolve(true) });
    expect([hasPasskeys(), await canAutofill()]).toEqual([true, true]);
  });
});
