import type { AssertionCredential, AttestationCredential } from '../../factors/passkeys.types.js';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';

type Members = Readonly<Record<string, unknown>>;

/**
 * Reads what `navigator.credentials.create` has returned, and ignores members that it does not know: browsers add some.
 *
 * @throws ValidationFailedError
 */
export function readAttestation(credential: Members): AttestationCredential {
  const { envelope, response } = readEnvelope(credential, ['clientDataJSON', 'attestationObject']);
  const { transports } = response;
  return {
    ...envelope,
    response: {
      clientDataJSON: response['clientDataJSON'] as string,
      attestationObject: response['attestationObject'] as string,
      ...(Array.isArray(transports) && { transports }),
    },
  };
}

/**
 * Reads what `navigator.credentials.get` has returned.
 *
 * @throws ValidationFailedError
 */
export function readAssertion(credential: Members): AssertionCredential {
  const { envelope, response } = readEnvelope(credential, ['clientDataJSON', 'authenticatorData', 'signature']);
  const { userHandle = null } = response;
  if (userHandle !== null && typeof userHandle !== 'string') {
    throw notAString('response.userHandle');
  }
  return {
    ...envelope,
    response: {
      clientDataJSON: response['clientDataJSON'] as string,
      authenticatorData: response['authenticatorData'] as string,
      signature: response['signature'] as string,
      ...(userHandle !== null && { userHandle }),
    },
  };
}

function readEnvelope(
  credential: Members,
  members: readonly string[],
): { readonly envelope: { id: string; rawId: string; type: string }; readonly response: Members } {
  const response = credential['response'];
  if (typeof response !== 'object' || response === null) {
    throw new ValidationFailedError([{ field: 'credential.response', message: 'must be an object' }]);
  }
  const missing = [
    ...['id', 'rawId', 'type'].filter((member) => typeof credential[member] !== 'string'),
    ...members
      .filter((member) => typeof (response as Members)[member] !== 'string')
      .map((member) => `response.${member}`),
  ];
  if (missing[0] !== undefined) {
    throw notAString(missing[0]);
  }
  const { id, rawId, type } = credential as { id: string; rawId: string; type: string };
  return { envelope: { id, rawId, type }, response: response as Members };
}

function notAString(member: string): ValidationFailedError {
  return new ValidationFailedError([{ field: `credential.${member}`, message: 'must be a string' }]);
}
