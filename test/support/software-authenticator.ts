import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** What a test makes different from what an honest authenticator and an honest browser would say. */
export interface CeremonyOverrides {
  readonly origin?: string;
  readonly rpId?: string;
  readonly type?: string;
  readonly challenge?: string;
  readonly crossOrigin?: unknown;
  readonly topOrigin?: string;
  readonly isUserPresent?: boolean;
  readonly isUserVerified?: boolean;
  readonly isBackupEligible?: boolean;
  readonly isBackedUp?: boolean;
  readonly signCount?: number;
  /** Null for none. */
  readonly userHandle?: string | null;
  readonly id?: string;
}

export interface CreationOptions {
  readonly challenge: string;
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
}

export interface RequestOptions {
  readonly challenge: string;
  readonly rpId: string;
}

export interface RegistrationCredential {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly authenticatorAttachment: string;
  readonly clientExtensionResults: object;
  readonly response: {
    readonly clientDataJSON: string;
    readonly attestationObject: string;
    readonly transports: readonly string[];
    readonly publicKeyAlgorithm: number;
  };
}

export interface AssertionCredential {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly authenticatorAttachment: string;
  readonly clientExtensionResults: object;
  readonly response: {
    readonly clientDataJSON: string;
    readonly authenticatorData: string;
    readonly signature: string;
    readonly userHandle?: string;
  };
}

interface Key {
  readonly privateKey: KeyObject;
  readonly cose: ReadonlyMap<number, number | Buffer>;
}

/** COSE algorithm → a new key of it, RFC 9053 and RFC 8230. */
const NEW_KEY: Readonly<Record<number, () => Key>> = {
  [-7]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x, y } = publicKey.export({ format: 'jwk' });
    return {
      privateKey,
      cose: new Map<number, number | Buffer>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, bytesOf(x)],
        [-3, bytesOf(y)],
      ]),
    };
  },
  [-8]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const { x } = publicKey.export({ format: 'jwk' });
    return {
      privateKey,
      cose: new Map<number, number | Buffer>([
        [1, 1],
        [3, -8],
        [-1, 6],
        [-2, bytesOf(x)],
      ]),
    };
  },
  [-35]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const { x, y } = publicKey.export({ format: 'jwk' });
    return {
      privateKey,
      cose: new Map<number, number | Buffer>([
        [1, 2],
        [3, -35],
        [-1, 2],
        [-2, bytesOf(x)],
        [-3, bytesOf(y)],
      ]),
    };
  },
  [-257]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { n, e } = publicKey.export({ format: 'jwk' });
    return {
      privateKey,
      cose: new Map<number, number | Buffer>([
        [1, 3],
        [3, -257],
        [-1, bytesOf(n)],
        [-2, bytesOf(e)],
      ]),
    };
  },
};

/**
 * An authenticator with one passkey, and the browser in front of it (Web Authentication Level 3, `fmt` none). It says what
 * an honest one would, except for what a test overrides; it does whatever it is asked.
 */
export class SoftwareAuthenticator {
  /** Of the passkey. */
  readonly id = randomBytes(32).toString('base64url');
  /** As the last ceremony reported it. A synced passkey reports 0 for ever. */
  signCount: number;
  private readonly key: Key;
  private readonly origin: string;
  private readonly defaults: CeremonyOverrides;
  private userHandle = '';

  /** @param overrides of every ceremony */
  constructor({
    algorithm = -7,
    origin,
    signCount = 1,
    ...overrides
  }: CeremonyOverrides & { readonly algorithm?: number; readonly origin: string }) {
    this.key = NEW_KEY[algorithm]!();
    this.origin = origin;
    this.signCount = signCount;
    this.defaults = overrides;
  }

  /** Answers `navigator.credentials.create`. */
  create(options: CreationOptions, overrides: CeremonyOverrides = {}): RegistrationCredential {
    const how = { ...this.defaults, signCount: this.signCount, ...overrides };
    this.userHandle = options.user.id;
    const id = how.id ?? this.id;
    const rawId = Buffer.from(id, 'base64url');
    const attested = Buffer.concat([Buffer.alloc(16), uint16(rawId.length), rawId, cbor(this.key.cose)]);
    const authData = authenticatorData(how.rpId ?? options.rp.id, how, attested);
    return {
      ...envelopeOf(id),
      response: {
        clientDataJSON: this.clientData('webauthn.create', options, how).toString('base64url'),
        attestationObject: cbor(
          new Map<string, Value>([
            ['fmt', 'none'],
            ['attStmt', new Map()],
            ['authData', authData],
          ]),
        ).toString('base64url'),
        transports: ['internal', 'hybrid'],
        publicKeyAlgorithm: this.key.cose.get(3) as number,
      },
    };
  }

  /** Answers `navigator.credentials.get`; the counter goes up unless it is 0. */
  get(options: RequestOptions, overrides: CeremonyOverrides = {}): AssertionCredential {
    this.signCount += this.signCount === 0 ? 0 : 1;
    const how = { ...this.defaults, signCount: this.signCount, ...overrides };
    const authData = authenticatorData(how.rpId ?? options.rpId, how);
    const clientData = this.clientData('webauthn.get', options, how);
    const signed = Buffer.concat([authData, sha256(clientData)]);
    const hash = this.key.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
    const userHandle = how.userHandle === undefined ? this.userHandle : how.userHandle;
    return {
      ...envelopeOf(how.id ?? this.id),
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: sign(hash, signed, this.key.privateKey).toString('base64url'),
        ...(userHandle !== null && { userHandle }),
      },
    };
  }

  private clientData(type: string, { challenge }: { readonly challenge: string }, how: CeremonyOverrides): Buffer {
    const { crossOrigin = false, topOrigin } = how;
    return Buffer.from(
      JSON.stringify({
        type: how.type ?? type,
        challenge: how.challenge ?? challenge,
        origin: how.origin ?? this.origin,
        crossOrigin,
        topOrigin,
      }),
    );
  }
}

function envelopeOf(id: string): Omit<AssertionCredential, 'response'> {
  return { id, rawId: id, type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {} };
}

/** @param attested the new passkey, at a registration */
function authenticatorData(rpId: string, how: CeremonyOverrides, attested = Buffer.alloc(0)): Buffer {
  const { isUserPresent = true, isUserVerified = true, isBackupEligible = true, isBackedUp = true } = how;
  const flags = [isUserPresent, false, isUserVerified, isBackupEligible, isBackedUp, false, attested.length > 0];
  const rest = Buffer.alloc(5);
  rest.writeUInt8(
    flags.reduce((byte, flag, bit) => byte | (Number(flag) << bit), 0),
    0,
  );
  rest.writeUInt32BE(how.signCount ?? 0, 1);
  return Buffer.concat([sha256(rpId), rest, attested]);
}

type Value = number | string | Buffer | ReadonlyMap<number | string, Value>;

/** Encodes what attestations are made of, RFC 8949. */
export function cbor(value: Value): Buffer {
  if (typeof value === 'number') {
    return value < 0 ? head(1, -1 - value) : head(0, value);
  }
  if (typeof value === 'string') {
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  }
  if (Buffer.isBuffer(value)) {
    return Buffer.concat([head(2, value.length), value]);
  }
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, member]) => [cbor(key), cbor(member)])]);
}

function head(major: number, length: number): Buffer {
  const type = major << 5;
  return length < 24
    ? Buffer.from([type | length])
    : length < 256
      ? Buffer.from([type | 24, length])
      : Buffer.concat([Buffer.from([type | 25]), uint16(length)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function sha256(data: string | Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

function bytesOf(member = ''): Buffer {
  return Buffer.from(member, 'base64url');
}
