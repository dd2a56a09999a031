import { createHash, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { JwtAlgorithm } from '../platform/config/config.js';
import type { PublicJwk } from './keys.types.js';

const generate = promisify(generateKeyPair);

/** Cloud gateways accept RSA keys from 2048 bits on, and signing slows down with the cube of the length. */
const RSA_MODULUS_BITS = 2048;

export interface GeneratedKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: PublicJwk;
}

/**
 * Makes a key pair named by the RFC 7638 thumbprint of its public half. The name never begins with a dash, which one in
 * 64 thumbprints does: a command line would take it for an option.
 */
export async function generateSigningKey(algorithm: JwtAlgorithm): Promise<GeneratedKey> {
  for (;;) {
    const key = await generateKey(algorithm);
    if (!key.kid.startsWith('-')) {
      return key;
    }
  }
}

async function generateKey(algorithm: JwtAlgorithm): Promise<GeneratedKey> {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? await generate('ec', { namedCurve: 'P-256' })
      : await generate('rsa', { modulusLength: RSA_MODULUS_BITS });
  const publicJwk = publicJwkOf(publicKey);
  return { kid: thumbprintOf(publicJwk), privateKey, publicJwk };
}

/** RFC 7638 section 3: SHA-256 over the required members in lexicographic order, without white space. */
export function thumbprintOf(jwk: PublicJwk): string {
  const required =
    jwk.kty === 'EC' ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y } : { e: jwk.e, kty: jwk.kty, n: jwk.n };
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}

function publicJwkOf(publicKey: KeyObject): PublicJwk {
  const { kty, crv, x, y, n, e } = publicKey.export({ format: 'jwk' });
  if (kty === 'EC' && typeof crv === 'string' && typeof x === 'string' && typeof y === 'string') {
    return { kty, crv, x, y };
  }
  if (kty === 'RSA' && typeof n === 'string' && typeof e === 'string') {
    return { kty, n, e };
  }
  throw new Error('node:crypto exported a JWK of an unexpected shape');
}
