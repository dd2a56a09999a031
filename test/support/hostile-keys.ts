import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { ecdsa, eddsa, rsa, rsaPss, type Signer } from './token-forge.js';

type SecretOf = (publicKey: KeyObject) => string | Buffer;

interface OwnKey {
  readonly publicKey: KeyObject;
  readonly signer: Signer;
}

export const PEM: SecretOf = (key) => key.export({ type: 'spki', format: 'pem' }).toString();

/** What a verifier could take for a shared secret that knows only the public key. */
export const SECRETS_FROM_PUBLIC_KEY: Readonly<Record<string, SecretOf>> = {
  'its PEM': PEM,
  'its PEM without the last line break': (key) => PEM(key).toString().trimEnd(),
  'its PEM with a space behind': (key) => `${PEM(key).toString()} `,
  'its PEM with Windows line breaks': (key) => PEM(key).toString().replaceAll('\n', '\r\n'),
  'its PEM on one line': (key) => PEM(key).toString().replaceAll('\n', ''),
  'the base64 of its PEM': (key) => PEM(key).toString().split('\n').slice(1, -2).join(''),
  'its DER': (key) => key.export({ type: 'spki', format: 'der' }),
  'its JWK': (key) => JSON.stringify(key.export({ format: 'jwk' })),
  'its JWK with white space': (key) => JSON.stringify(key.export({ format: 'jwk' }), undefined, 2),
  'its x coordinate': (key) => key.export({ format: 'jwk' }).x ?? '',
  'the empty secret': () => '',
};

/** One of each kind that a JWT can be signed with, and none that the service knows. */
export const OWN_KEYS: Readonly<Record<string, OwnKey>> = {
  ES256: ownKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }), ecdsa),
  ES384: ownKey(generateKeyPairSync('ec', { namedCurve: 'P-384' }), (key) => ecdsa(key, 'sha384')),
  ES256K: ownKey(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), ecdsa),
  RS256: ownKey(generateKeyPairSync('rsa', { modulusLength: 2_048 }), rsa),
  PS256: ownKey(generateKeyPairSync('rsa', { modulusLength: 2_048 }), rsaPss),
  EdDSA: ownKey(generateKeyPairSync('ed25519'), eddsa),
};

function ownKey(
  { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  signerOf: (key: KeyObject) => Signer,
): OwnKey {
  return { publicKey, signer: signerOf(privateKey) };
}
