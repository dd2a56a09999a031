import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  cbor,
  type CeremonyOverrides,
  type RegistrationCredential,
  SoftwareAuthenticator,
} from '../../test/support/software-authenticator.js';
import type { KnownPasskey, RegisteredPasskey, Verification } from './passkeys.types.js';
import { creationOptions, requestOptions, userHandleOf, verifyAssertion, verifyRegistration } from './webauthn.js';

const ORIGIN = 'https://app.example.com';
const RP = { rpId: 'example.com', rpName: 'Example' };
const USER = { id: randomUUID(), email: 'user@example.com' };
const PASSWORDLESS = { isUserVerified: true, isOwnerNamed: true };
const SECOND_FACTOR = { isUserVerified: false, isOwnerNamed: false };

const newChallenge = (): string => randomBytes(32).toString('base64url');

const expecting = (challenge: string) => ({ challenge, rpId: RP.rpId, origins: ['https://example.com', ORIGIN] });

async function register(
  authenticator: SoftwareAuthenticator,
  overrides: CeremonyOverrides = {},
  change: (credential: RegistrationCredential) => RegistrationCredential = (credential) => credential,
): Promise<Verification<RegisteredPasskey>> {
  const challenge = newChallenge();
  const credential = authenticator.create(creationOptions(challenge, RP, USER, []), overrides);
  return verifyRegistration(change(credential), expecting(challenge));
}

async function registered(authenticator: SoftwareAuthenticator): Promise<KnownPasskey & RegisteredPasskey> {
  const verification = await register(authenticator);
  if (verification.kind === 'refused') {
    throw new Error(verification.reason);
  }
  return { ...verification.value, userId: USER.id };
}

describe('WebAuthn', () => {
  it.each([-7, -8, -257])('registers and verifies a passkey of algorithm %i', async (algorithm) => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN, algorithm });
    const passkey = await registered(authenticator);
    expect(passkey).toEqual({
      id: authenticator.id,
      userId: USER.id,
      transports: ['hybrid', 'internal'],
      publicKey: expect.any(Buffer),
      algorithm,
      signCount: 1,
      aaguid: '00000000-0000-0000-0000-000000000000',
      isBackupEligible: true,
      isBackedUp: true,
      isUserVerified: true,
    });
    const challenge = newChallenge();
    const assertion = authenticator.get(requestOptions(challenge, RP.rpId, [passkey], 'required'));
    expect(await verifyAssertion(assertion, passkey, expecting(challenge), PASSWORDLESS)).toEqual({
      kind: 'verified',
      value: { id: passkey.id, userId: USER.id, signCount: 2, isBackedUp: true, isUserVerified: true },
    });
  });

  it('asks for a discoverable passkey of the pinned algorithms, and tells authenticators no more than the address', () => {
    expect(creationOptions('challenge', RP, USER, [{ id: 'AQID', transports: ['usb'] }])).toEqual({
      challenge: 'challenge',
      rp: { id: 'example.com', name: 'Example' },
      user: { id: userHandleOf(USER.id), name: USER.email, displayName: USER.email },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
      timeout: 300_000,
      excludeCredentials: [{ type: 'public-key', id: 'AQID', transports: ['usb'] }],
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'preferred' },
      attestation: 'none',
    });
    expect(Buffer.from(userHandleOf(USER.id), 'base64url').toString('hex')).toBe(USER.id.replaceAll('-', ''));
  });

  it.each<[string, CeremonyOverrides]>([
    ['another origin', { origin: 'https://app.example.com.evil.example' }],
    ['an origin of the RP ID that is not listed', { origin: 'https://other.example.com' }],
    ['another RP ID', { rpId: 'app.example.com' }],
    ['the type of a sign-in', { type: 'webauthn.get' }],
    ['another challenge', { challenge: newChallenge() }],
    ['a frame of another site', { crossOrigin: true }],
    ['a frame of another site by another type', { crossOrigin: 'false' }],
    ['the address of an outer page', { topOrigin: ORIGIN }],
    ['no user present', { isUserPresent: false }],
    ['a copy of what cannot be copied', { isBackupEligible: false, isBackedUp: true }],
    ['an id of 1,024 bytes', { id: randomBytes(1024).toString('base64url') }],
    ['no id', { id: '' }],
  ])('registers no passkey with %s', async (_what, overrides) => {
    expect((await register(new SoftwareAuthenticator({ origin: ORIGIN }), overrides)).kind).toBe('refused');
  });

  it('registers no passkey of an algorithm that was not asked for, and none under another id', async () => {
    expect(await register(new SoftwareAuthenticator({ origin: ORIGIN, algorithm: -35 }))).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('Unexpected public key alg "-35"'),
    });
    const id = randomBytes(32).toString('base64url');
    const moved = await register(new SoftwareAuthenticator({ origin: ORIGIN }), {}, (credential) => ({
      ...credential,
      id,
      rawId: id,
    }));
    expect(moved.kind).toBe('refused');
  });

  it('registers the longest id, and keeps no transport that the standard does not know', async () => {
    const id = randomBytes(1023).toString('base64url');
    const verification = await register(new SoftwareAuthenticator({ origin: ORIGIN }), { id }, (credential) => ({
      ...credential,
      response: { ...credential.response, transports: ['usb', 'usb', 'x'.repeat(4096), 7, null] as never },
    }));
    expect(verification).toMatchObject({ kind: 'verified', value: { id, transports: ['usb'] } });
  });

  it('does not look at an attestation, whatever it claims', async () => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
    for (const fmt of ['packed', 'apple', 'tpm', 'fido-u2f', 'unknown']) {
      const verification = await register(authenticator, {}, (credential) => {
        const attestation = Buffer.from(credential.response.attestationObject, 'base64url');
        const authData = attestation.subarray(attestation.indexOf('authData') + 'authData'.length + 2);
        const attestationObject = cbor(
          new Map<string, Buffer | string | Map<string, string>>([
            ['fmt', fmt],
            ['attStmt', new Map([['x5c', 'rubbish']])],
            ['authData', authData],
          ]),
        ).toString('base64url');
        return { ...credential, response: { ...credential.response, attestationObject } };
      });
      expect(verification.kind).toBe('verified');
    }
  });

  it.each<[string, CeremonyOverrides]>([
    ['another origin', { origin: 'http://app.example.com' }],
    ['another RP ID', { rpId: 'example.org' }],
    ['the type of a registration', { type: 'webauthn.create' }],
    ['another challenge', { challenge: newChallenge() }],
    ['a frame of another site', { crossOrigin: true }],
    ['a frame of another site, whose address it tells', { crossOrigin: true, topOrigin: 'https://evil.example' }],
    ['a frame of another site by another type', { crossOrigin: 1 }],
    ['no user present', { isUserPresent: false, isUserVerified: true }],
    ['the handle of another user', { userHandle: userHandleOf(randomUUID()) }],
    ['an empty handle', { userHandle: '' }],
    ['another backup eligibility', { isBackupEligible: false, isBackedUp: false }],
  ])('accepts no assertion with %s, for any ceremony', async (_what, overrides) => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
    const passkey = await registered(authenticator);
    for (const demands of [PASSWORDLESS, SECOND_FACTOR]) {
      const challenge = newChallenge();
      const assertion = authenticator.get(requestOptions(challenge, RP.rpId, [], 'required'), overrides);
      expect((await verifyAssertion(assertion, passkey, expecting(challenge), demands)).kind).toBe('refused');
    }
  });

  it('accepts an unverified user and an unnamed owner as a second factor only', async () => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
    const passkey = await registered(authenticator);
    for (const overrides of [{ isUserVerified: false }, { userHandle: null }]) {
      const challenge = newChallenge();
      const assertion = authenticator.get(requestOptions(challenge, RP.rpId, [], 'preferred'), overrides);
      const judge = (demands: typeof PASSWORDLESS): Promise<Verification<unknown>> =>
        verifyAssertion(assertion, passkey, expecting(challenge), demands);
      expect((await judge(PASSWORDLESS)).kind).toBe('refused');
      expect((await judge(SECOND_FACTOR)).kind).toBe('verified');
    }
  });

  it('accepts no assertion that another key signed, and none that was changed afterwards', async () => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN, algorithm: -8 });
    const passkey = await registered(authenticator);
    const other = await registered(new SoftwareAuthenticator({ origin: ORIGIN, algorithm: -8 }));
    const challenge = newChallenge();
    const assertion = authenticator.get(requestOptions(challenge, RP.rpId, [], 'required'));
    const judge = (credential: typeof assertion, publicKey = passkey.publicKey): Promise<Verification<unknown>> =>
      verifyAssertion(credential, { ...passkey, publicKey }, expecting(challenge), PASSWORDLESS);
    expect((await judge(assertion, other.publicKey)).kind).toBe('refused');
    for (const member of ['authenticatorData', 'clientDataJSON', 'signature'] as const) {
      const bytes = Buffer.from(assertion.response[member], 'base64url');
      for (let index = 0; index < bytes.length; index += 1) {
        const changed = Buffer.from(bytes);
        changed[index]! ^= 1;
        const response = { ...assertion.response, [member]: changed.toString('base64url') };
        expect([index, (await judge({ ...assertion, response })).kind]).toEqual([index, 'refused']);
      }
    }
    expect((await judge(assertion)).kind).toBe('verified');
  });

  it('refuses rubbish in each member without throwing', async () => {
    const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
    const passkey = await registered(authenticator);
    const challenge = newChallenge();
    const made = authenticator.create(creationOptions(challenge, RP, USER, []));
    const got = authenticator.get(requestOptions(challenge, RP.rpId, [], 'required'));
    const rubbish = [
      '',
      '=',
      'ä',
      '\u0000',
      'bnVsbA',
      'W10',
      'IiI',
      'oA',
      '_w',
      'x'.repeat(65_536),
      '81'.repeat(30_000),
    ];
    const nested = Buffer.concat([Buffer.alloc(60_000, 0x81), Buffer.from([0])]).toString('base64url');
    for (const value of [...rubbish, nested]) {
      for (const member of ['clientDataJSON', 'attestationObject'] as const) {
        const credential = { ...made, response: { ...made.response, [member]: value } };
        expect((await verifyRegistration(credential, expecting(challenge))).kind).toBe('refused');
      }
      for (const member of ['clientDataJSON', 'authenticatorData', 'signature', 'userHandle'] as const) {
        const credential = { ...got, response: { ...got.response, [member]: value } };
        const verification = await verifyAssertion(credential, passkey, expecting(challenge), PASSWORDLESS);
        expect([member, value.slice(0, 9), verification.kind]).toEqual([member, value.slice(0, 9), 'refused']);
      }
      for (const member of ['id', 'rawId', 'type'] as const) {
        const [registration, assertion] = [
          { ...made, [member]: value },
          { ...got, [member]: value },
        ];
        expect((await verifyRegistration(registration, expecting(challenge))).kind).toBe('refused');
        expect((await verifyAssertion(assertion, passkey, expecting(challenge), PASSWORDLESS)).kind).toBe('refused');
      }
    }
  });
});
