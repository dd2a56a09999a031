import { hkdfSync } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ConfigurationError } from '../config/config.errors.js';
import { Config } from '../config/config.js';

/** What one `AUTH_SECRET` is turned into; the secret itself is used for nothing. */
export interface ServerKey {
  /** One byte that names the secret without telling anything of it: stands in tokens and beside encrypted keys. */
  readonly id: number;
  readonly refreshTokenMacKey: Buffer;
  readonly signingKeyEncryptionKey: Buffer;
  readonly ticketMacKey: Buffer;
  /** For what is computed from a ticket instead of being stored with it: typed codes, challenges, nonces. */
  readonly ticketDerivationKey: Buffer;
  readonly factorEncryptionKey: Buffer;
}

/** Derives the keys of one secret by HKDF-SHA-256 (RFC 5869), one label per purpose. */
export function deriveServerKey(secret: Buffer): ServerKey {
  const derive = (label: string, lengthBytes: number): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, '', `ratchet ${label}`, lengthBytes));
  return {
    id: derive('key id', 1).readUInt8(),
    refreshTokenMacKey: derive('refresh token mac', 32),
    signingKeyEncryptionKey: derive('signing key encryption', 32),
    ticketMacKey: derive('ticket mac', 32),
    ticketDerivationKey: derive('ticket derivation', 32),
    factorEncryptionKey: derive('factor encryption', 32),
  };
}

/** The keys of `AUTH_SECRET` and of every accepted secret. */
@Injectable()
export class ServerKeys {
  readonly current: ServerKey;
  private readonly byId = new Map<number, ServerKey>();

  /**
   * @throws ConfigurationError when two different secrets share their one-byte id (one pair in 256 does): a replayed
   *   refresh must be answered with the same bytes again, so an id has to mean one key
   */
  constructor(config: Config) {
    this.current = deriveServerKey(config.secrets.current);
    this.byId.set(this.current.id, this.current);
    for (const secret of config.secrets.accepted) {
      const key = deriveServerKey(secret);
      const known = this.byId.get(key.id);
      if (known !== undefined && !known.refreshTokenMacKey.equals(key.refreshTokenMacKey)) {
        throw new ConfigurationError([
          'two of the secrets in AUTH_SECRET and AUTH_SECRET_ACCEPTED share a key id, which one pair in 256 does; ' +
            'generate another new secret, nothing has been changed',
        ]);
      }
      this.byId.set(key.id, known ?? key);
    }
  }

  /** Undefined when the secret with this id is not, or no longer, accepted. */
  find(id: number): ServerKey | undefined {
    return this.byId.get(id);
  }
}
