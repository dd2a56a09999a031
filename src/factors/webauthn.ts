import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';
import { decodeAttestationObject, decodeClientDataJSON, isoBase64URL, isoCBOR } from '@simplewebauthn/server/helpers';
import { messageOf } from '../platform/common/message-of.js';
import {
  type AssertionCredential,
  type AttestationCredential,
  type CreationOptions,
  type CredentialDescriptor,
  type ExpectedCeremony,
  type KnownPasskey,
  PASSKEY_TRANSPORTS,
  type PasskeyAssertion,
  type PasskeyReference,
  type RegisteredPasskey,
  type RequestOptions,
  type Verification,
} from './passkeys.types.js';

/**
 * ES256, Ed25519 and RS256, by their COSE numbers. Pinned: a choice that follows the runtime would let an instance on a newer Node
 * accept keys that one on an older Node cannot verify.
 */
const ALGORITHMS: readonly number[] = [-7, -8, -257];

/** A browser waits for its user as long as the ticket of the ceremony lives. */
const TIMEOUT_MS = 300_000;

/** COSE, RFC 9052 section 7.1: the parameter of a key that names its algorithm. */
const COSE_ALGORITHM = 3;

/** Web Authentication Level 3 section 4, "Credential ID". */
const ID_MAX_BYTES = 1023;

/**
 * The handle of a user is the 16 bytes of the id, base64url: an authenticator shows and syncs it, so it says nothing of the person
 * (Web Authentication Level 3 section 14.6.1).
 */
export function userHandleOf(userId: string): string {
  return Buffer.from(userId.replaceAll('-', ''), 'hex').toString('base64url');
}

/** Asks for a passkey that signs in without the user's name. */
export function creationOptions(
  challenge: string,
  { rpId, rpName }: { readonly rpId: string; readonly rpName: string },
  user: { readonly id: string; readonly email: string },
  existing: readonly PasskeyReference[],
): CreationOptions {
  return {
    challenge,
    rp: { id: rpId, name: rpName },
    user: { id: userHandleOf(user.id), name: user.email, displayName: user.email },
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
    timeout: TIMEOUT_MS,
    excludeCredentials: existing.map(descriptorOf),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'preferred' },
    attestation: 'none',
  };
}

/** @param allowed none when the passkey itself is to tell whose it is */
export function requestOptions(
  challenge: string,
  rpId: string,
  allowed: readonly PasskeyReference[],
  userVerification: RequestOptions['userVerification'],
): RequestOptions {
  return { challenge, rpId, timeout: TIMEOUT_MS, allowCredentials: allowed.map(descriptorOf), userVerification };
}

/**
 * Verifies what `navigator.credentials.create` has made. An attestation is replaced with none, as a browser does that is asked
 * for none: verifying one would fetch certificate revocation lists from addresses that the client chooses.
 */
export function verifyRegistration(
  credential: AttestationCredential,
  expected: ExpectedCeremony,
): Promise<Verification<RegisteredPasskey>> {
  return refuseErrors(async () => {
    const { clientDataJSON, attestationObject, transports = [] } = credential.response;
    requireOwnPage(clientDataJSON);
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: {
        ...envelopeOf(credential),
        response: { clientDataJSON, attestationObject: withoutAttestation(attestationObject) },
      },
      expectedChallenge: expected.challenge,
      expectedOrigin: [...expected.origins],
      expectedRPID: expected.rpId,
      requireUserVerification: false,
      supportedAlgorithmIDs: [...ALGORITHMS],
    });
    if (!verified) {
      throw new Error('not verified');
    }
    const { id, publicKey, counter } = registrationInfo.credential;
    if (id !== credential.id || idBytes(id).length > ID_MAX_BYTES) {
      throw new Error('the id is too long, or not that of the authenticator data');
    }
    return {
      id,
      transports: PASSKEY_TRANSPORTS.filter((transport) => transports.includes(transport)),
      publicKey: Buffer.from(publicKey),
      algorithm: Number(isoCBOR.decodeFirst<Map<number, unknown>>(publicKey).get(COSE_ALGORITHM)),
      signCount: counter,
      aaguid: registrationInfo.aaguid,
      isBackupEligible: registrationInfo.credentialDeviceType === 'multiDevice',
      isBackedUp: registrationInfo.credentialBackedUp,
      isUserVerified: registrationInfo.userVerified,
    };
  });
}

/**
 * Verifies what `navigator.credentials.get` has signed with a passkey. Whether the counter has moved is judged where it is
 * stored.
 *
 * @param demands `isOwnerNamed`: the passkey itself says whose it is, because nothing else does
 */
export function verifyAssertion(
  credential: AssertionCredential,
  passkey: KnownPasskey,
  expected: ExpectedCeremony,
  demands: { readonly isUserVerified: boolean; readonly isOwnerNamed: boolean },
): Promise<Verification<PasskeyAssertion>> {
  return refuseErrors(async () => {
    const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
    requireOwnPage(clientDataJSON);
    if (userHandle === undefined ? demands.isOwnerNamed : userHandle !== userHandleOf(passkey.userId)) {
      throw new Error('the user handle is not that of the owner');
    }
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { ...envelopeOf(credential), response: { clientDataJSON, authenticatorData, signature } },
      expectedChallenge: expected.challenge,
      expectedOrigin: [...expected.origins],
      expectedRPID: expected.rpId,
      requireUserVerification: demands.isUserVerified,
      credential: { id: passkey.id, publicKey: new Uint8Array(passkey.publicKey), counter: 0 },
    });
    if (!verified) {
      throw new Error('the signature does not match');
    }
    if ((authenticationInfo.credentialDeviceType === 'multiDevice') !== passkey.isBackupEligible) {
      throw new Error('the passkey says another backup eligibility than at its registration');
    }
    return {
      id: passkey.id,
      userId: passkey.userId,
      signCount: authenticationInfo.newCounter,
      isBackedUp: authenticationInfo.credentialBackedUp,
      isUserVerified: authenticationInfo.userVerified,
    };
  });
}

/** The library throws for nearly everything that is wrong, and what its parsers throw has no class of its own. */
async function refuseErrors<T>(verify: () => Promise<T>): Promise<Verification<T>> {
  try {
    return { kind: 'verified', value: await verify() };
  } catch (error) {
    return { kind: 'refused', reason: messageOf(error) };
  }
}

/** A page in a frame of another site may not use a passkey: the user sees the address of that site. */
function requireOwnPage(clientDataJSON: string): void {
  const { crossOrigin = false, topOrigin }: { crossOrigin?: unknown; topOrigin?: unknown } =
    decodeClientDataJSON(clientDataJSON);
  if (crossOrigin !== false || topOrigin !== undefined) {
    throw new Error('in a frame of another site');
  }
}

function withoutAttestation(attestationObject: string): string {
  const authData = decodeAttestationObject(isoBase64URL.toBuffer(attestationObject)).get('authData');
  const unattested = new Map<string, Uint8Array | string | Map<string, string>>([
    ['fmt', 'none'],
    ['attStmt', new Map<string, string>()],
    ['authData', authData],
  ]);
  return Buffer.from(isoCBOR.encode(unattested)).toString('base64url');
}

function envelopeOf({ id, rawId, type }: AssertionCredential | AttestationCredential): {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly clientExtensionResults: object;
} {
  if (type !== 'public-key') {
    throw new Error('not a public-key credential');
  }
  return { id, rawId, type, clientExtensionResults: {} };
}

function descriptorOf({ id, transports }: PasskeyReference): CredentialDescriptor {
  return { type: 'public-key', id, transports };
}

function idBytes(id: string): Buffer {
  return Buffer.from(id, 'base64url');
}
