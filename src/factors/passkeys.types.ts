/** Bounds what a user calls a passkey. */
export const PASSKEY_NAME_MAX_CHARACTERS = 64;

/** How many passkeys a user can have. */
export const PASSKEYS_PER_USER = 20;

/** How a browser finds the authenticator of a passkey, Web Authentication Level 3 section 5.8.4. */
export const PASSKEY_TRANSPORTS = ['usb', 'nfc', 'ble', 'smart-card', 'hybrid', 'internal'] as const;

export type PasskeyTransport = (typeof PASSKEY_TRANSPORTS)[number];

/** What its owner sees of a passkey. */
export interface Passkey {
  /** Of the credential, base64url. */
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
  /** Whether a provider holds a copy, as the authenticator said at its last use. */
  readonly isBackedUp: boolean;
}

/** Names a passkey to a browser. */
export interface PasskeyReference {
  readonly id: string;
  readonly transports: readonly PasskeyTransport[];
}

/** What a registration has proved, and what is stored of it. */
export interface RegisteredPasskey extends PasskeyReference {
  /** COSE key, RFC 9052 section 7. */
  readonly publicKey: Buffer;
  /** COSE algorithm. */
  readonly algorithm: number;
  readonly signCount: number;
  /** Of the authenticator's model; canonical lower-case UUID. */
  readonly aaguid: string;
  readonly isBackupEligible: boolean;
  readonly isBackedUp: boolean;
  readonly isUserVerified: boolean;
}

/** What has to be known of a passkey to verify an assertion by it. */
export interface KnownPasskey {
  readonly id: string;
  readonly userId: string;
  readonly publicKey: Buffer;
  readonly isBackupEligible: boolean;
}

/** What an assertion has proved, except that its counter has moved: that is judged under the lock. */
export interface PasskeyAssertion {
  readonly id: string;
  readonly userId: string;
  readonly signCount: number;
  readonly isBackedUp: boolean;
  readonly isUserVerified: boolean;
}

/** What a verified assertion is worth under the lock on its user's row. */
export interface JudgedAssertion {
  readonly isRight: boolean;
  /** Moves the counter of a right one in the transaction that judged it. */
  readonly use: () => Promise<void>;
}

/** What a ceremony has to say to be accepted. */
export interface ExpectedCeremony {
  /** Of the ticket, base64url. */
  readonly challenge: string;
  readonly rpId: string;
  readonly origins: readonly string[];
}

export type Verification<T> =
  | { readonly kind: 'verified'; readonly value: T }
  /** `reason` is for the log only. */
  | { readonly kind: 'refused'; readonly reason: string };

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.create`, as far as it is read. */
export interface AttestationCredential {
  readonly id: string;
  readonly rawId: string;
  readonly type: string;
  readonly response: {
    readonly clientDataJSON: string;
    readonly attestationObject: string;
    readonly transports?: readonly unknown[];
  };
}

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.get`, as far as it is read. */
export interface AssertionCredential {
  readonly id: string;
  readonly rawId: string;
  readonly type: string;
  readonly response: {
    readonly clientDataJSON: string;
    readonly authenticatorData: string;
    readonly signature: string;
    readonly userHandle?: string;
  };
}

/** `PublicKeyCredentialCreationOptionsJSON`, Web Authentication Level 3 section 5.1.9. */
export interface CreationOptions {
  readonly challenge: string;
  readonly rp: { readonly id: string; readonly name: string };
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly pubKeyCredParams: readonly { readonly type: 'public-key'; readonly alg: number }[];
  readonly timeout: number;
  readonly excludeCredentials: readonly CredentialDescriptor[];
  readonly authenticatorSelection: {
    readonly residentKey: 'required';
    readonly requireResidentKey: true;
    readonly userVerification: 'preferred';
  };
  readonly attestation: 'none';
}

/** `PublicKeyCredentialRequestOptionsJSON`, Web Authentication Level 3 section 5.1.10. */
export interface RequestOptions {
  readonly challenge: string;
  readonly rpId: string;
  readonly timeout: number;
  readonly allowCredentials: readonly CredentialDescriptor[];
  readonly userVerification: 'required' | 'preferred';
}

export interface CredentialDescriptor {
  readonly type: 'public-key';
  readonly id: string;
  readonly transports: readonly PasskeyTransport[];
}
