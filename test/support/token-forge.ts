import { constants, createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { decryptPrivateKey } from '../../src/keys/signing-key.cipher.js';
import { claimsOf } from './test-client.js';
import type { TestDatabase } from './test-database.js';
import { serverKeyOf } from './test-family.js';
import { AUTH_SECRET } from './test-service.js';

/** The order of P-256's base point. */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const P256_BYTES = 32;

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Makes the signature of a signing input, `header.payload`. */
export type Signer = (input: string) => Buffer;

/** The three segments of a compact JWS, still encoded. */
export interface Segments {
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
}

interface SigningKeyRow {
  readonly algorithm: 'ES256' | 'RS256';
  readonly private_key_encrypted: Buffer;
}

/**
 * Makes tokens that are like one of the service's in everything but what a test wants otherwise, signed with the
 * service's own key: whatever is refused then is refused for that difference, and not for its signature.
 */
export class TokenForge {
  private constructor(
    /** The token that the others are variations of. */
    readonly genuine: string,
    readonly privateKey: KeyObject,
    /** Signs as the service does. */
    readonly signer: Signer,
  ) {}

  /** @param genuine an access token whose signing key is in the database, encrypted under `authSecret` */
  static async like(
    genuine: string,
    database: Pick<TestDatabase, 'sql'>,
    authSecret = AUTH_SECRET,
  ): Promise<TokenForge> {
    const { kid } = headerOf(genuine);
    const [row] = await database.sql<SigningKeyRow>(
      'select algorithm, private_key_encrypted from signing_keys where kid = $1',
      [kid],
    );
    if (row === undefined || typeof kid !== 'string') {
      throw new Error('the database does not have the key of this token');
    }
    const { signingKeyEncryptionKey } = serverKeyOf(authSecret);
    const privateKey = decryptPrivateKey(row.private_key_encrypted, kid, signingKeyEncryptionKey);
    return new TokenForge(genuine, privateKey, row.algorithm === 'ES256' ? ecdsa(privateKey) : rsa(privateKey));
  }

  get publicKey(): KeyObject {
    return createPublicKey(this.privateKey);
  }

  get header(): Readonly<Record<string, unknown>> {
    return headerOf(this.genuine);
  }

  get claims(): Readonly<Record<string, unknown>> {
    return claimsOf(this.genuine);
  }

  get segments(): Segments {
    return segmentsOf(this.genuine);
  }

  /** @param change members to replace or, where undefined, to leave out */
  withHeader(change: object, signer = this.signer): string {
    return compact({ ...this.header, ...change }, this.claims, signer);
  }

  /** @param change members to replace or, where undefined, to leave out */
  withClaims(change: object, signer = this.signer): string {
    return compact(this.header, { ...this.claims, ...change }, signer);
  }

  /** @param json the text of the header, which need not be JSON */
  withHeaderText(json: string): string {
    return compact(json, this.claims, this.signer);
  }

  /** @param json the text of the claims, which need not be JSON */
  withClaimsText(json: string): string {
    return compact(this.header, json, this.signer);
  }

  /** The genuine token with other segments, its signature as it is unless that is one of them. */
  withSegments(change: Partial<Segments>): string {
    const { header, payload, signature } = { ...this.segments, ...change };
    return `${header}.${payload}.${signature}`;
  }

  /** @param bytes in place of the genuine signature */
  withSignature(bytes: Buffer): string {
    return this.withSegments({ signature: bytes.toString('base64url') });
  }

  /** The genuine token with (r, n − s) for (r, s), which verifies wherever that does: ECDSA is malleable. */
  get mirrored(): string {
    const raw = Buffer.from(this.segments.signature, 'base64url');
    const s = P256_ORDER - BigInt(`0x${raw.toString('hex', P256_BYTES)}`);
    const bytes = Buffer.from(s.toString(16).padStart(2 * P256_BYTES, '0'), 'hex');
    return this.withSignature(Buffer.concat([raw.subarray(0, P256_BYTES), bytes]));
  }
}

export function headerOf(accessToken: string): Record<string, unknown> {
  const [header = ''] = accessToken.split('.');
  return JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
}

export function segmentsOf(accessToken: string): Segments {
  const [header = '', payload = '', signature = ''] = accessToken.split('.');
  return { header, payload, signature };
}

/** @param header,claims text is taken as it is, an object is serialised */
export function compact(header: object | string, claims: object | string, signer: Signer): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${signer(input).toString('base64url')}`;
}

export function base64url(value: object | string): string {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  return bytes.toString('base64url');
}

/** Sets other bits where the last character of a segment has some that mean nothing (RFC 4648 section 3.5). */
export function withOtherSlackBits(segment: string): string {
  return segment.slice(0, -1) + BASE64URL.charAt(BASE64URL.indexOf(segment.slice(-1)) ^ 1);
}

export function ecdsa(key: KeyObject, hash = 'sha256'): Signer {
  return (input) => sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

export function rsa(key: KeyObject): Signer {
  return (input) => sign('sha256', Buffer.from(input), key);
}

export function rsaPss(key: KeyObject): Signer {
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
  return (input) => sign('sha256', Buffer.from(input), { key, padding, saltLength });
}

export function eddsa(key: KeyObject): Signer {
  return (input) => sign(null, Buffer.from(input), key);
}

export function hmac(secret: string | Buffer, hash = 'sha256'): Signer {
  return (input) => createHmac(hash, secret).update(input).digest();
}
