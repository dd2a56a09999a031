import { createHmac } from 'node:crypto';
import { deriveServerKey } from '../../dist/platform/common/server-keys.js';
import { encodeRefreshToken } from '../../dist/tokens/refresh-token.codec.js';

/**
 * Users and families that are a function of the secret and a number: a million of them can be written to the database
 * and any of their tokens be made afterwards, without a list. As with any token, that needs `AUTH_SECRET`.
 */
export class SeededSessions {
  #secret;
  #key;

  constructor(authSecret) {
    this.#secret = Buffer.from(authSecret);
    this.#key = deriveServerKey(this.#secret);
  }

  get keyId() {
    return this.#key.id;
  }

  userId(index) {
    return uuidOf(this.#digest('user', index));
  }

  emailOf(index) {
    return `user${index}@bench.example`;
  }

  family(index) {
    const digest = this.#digest('family', index);
    return { id: uuidOf(digest), secret: digest.subarray(16) };
  }

  /** The first token of the family. */
  refreshToken(index) {
    const { id, secret } = this.family(index);
    const parts = { keyId: this.#key.id, familyId: id, familySecret: secret, generation: 1 };
    return encodeRefreshToken(parts, this.#key.refreshTokenMacKey);
  }

  #digest(kind, index) {
    return createHmac('sha256', this.#secret).update(`bench ${kind} ${index}`).digest();
  }
}

/** The first 16 bytes as a version 4 UUID: ids arrive in no order, as random ones do. */
function uuidOf(digest) {
  const bytes = Buffer.from(digest.subarray(0, 16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
