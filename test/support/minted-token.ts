import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { KeysService } from '../../src/keys/keys.service.js';
import { claimsOf } from './test-client.js';
import type { TestService } from './test-service.js';

export interface Minting {
  /** Over those of a good token; undefined leaves one out. */
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly signedBy?: 'the service' | 'somebody else' | 'its public key' | 'nobody';
}

/** What an attacker, or a defect of the service, could make of a good token. */
export function mintFrom(
  { app }: Pick<TestService, 'app'>,
  accessToken: string,
  { header = {}, claims = {}, signedBy = 'the service' }: Minting,
): string {
  const key = app.get(KeysService).signingKey();
  const head = { alg: key.algorithm, typ: 'at+jwt', kid: key.kid, ...header };
  const input = `${encode(head)}.${encode({ ...claimsOf(accessToken), ...claims })}`;
  switch (signedBy) {
    case 'the service':
      return `${input}.${ecdsa(input, key.privateKey)}`;
    case 'somebody else':
      return `${input}.${ecdsa(input, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)}`;
    case 'its public key': {
      const pem = key.publicKey.export({ type: 'spki', format: 'pem' });
      return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`;
    }
    case 'nobody':
      return `${input}.`;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function ecdsa(input: string, key: KeyObject): string {
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}
