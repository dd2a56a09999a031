import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { uuidOfHex } from '../platform/common/uuid.js';
import { REFRESH_TOKEN_SHAPE } from './tokens.types.js';

const PREFIX = 'rt1.';
const KEY_ID_OFFSET = 0;
const FAMILY_ID_OFFSET = 1;
const FAMILY_SECRET_OFFSET = 17;
const GENERATION_OFFSET = 33;
const TAG_OFFSET = 37;
const TOKEN_BYTES = 69;

/**
 * Long enough that no fresh key is ever taken for a used one. A thief has one guess: a wrong one ends the session.
 */
export const RETRY_KEY_DIGEST_BYTES = 8;

/** The column that holds a generation is a signed 32-bit integer, and its successor has to fit as well. */
const MAX_GENERATION = 0x7ffffffe;

export interface RefreshTokenParts {
  /** Id of the server key that the tag was made with. */
  readonly keyId: number;
  /** Canonical lower-case UUID. */
  readonly familyId: string;
  /** 16 bytes that only the holder of a token of this family knows. */
  readonly familySecret: Buffer;
  readonly generation: number;
}

/** @param macKey the key that `parts.keyId` names */
export function encodeRefreshToken(parts: RefreshTokenParts, macKey: Buffer): string {
  const bytes = Buffer.alloc(TOKEN_BYTES);
  bytes.writeUInt8(parts.keyId, KEY_ID_OFFSET);
  bytes.write(parts.familyId.replaceAll('-', ''), FAMILY_ID_OFFSET, 'hex');
  parts.familySecret.copy(bytes, FAMILY_SECRET_OFFSET);
  bytes.writeUInt32BE(parts.generation, GENERATION_OFFSET);
  tagOf(bytes, macKey).copy(bytes, TAG_OFFSET);
  return PREFIX + bytes.toString('base64url');
}

/**
 * Reads a token that this service issued, and no other: shape, canonical encoding and tag are checked before anything
 * else is believed, so that rubbish never reaches the database and guessing an id addresses no family.
 *
 * @param macKeyOf the MAC key with this id, or undefined when it is not accepted
 * @returns undefined for anything that this service did not issue
 */
export function decodeRefreshToken(
  token: string,
  macKeyOf: (keyId: number) => Buffer | undefined,
): RefreshTokenParts | undefined {
  if (!REFRESH_TOKEN_SHAPE.test(token)) {
    return undefined;
  }
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
  const keyId = bytes.readUInt8(KEY_ID_OFFSET);
  const macKey = macKeyOf(keyId);
  if (macKey === undefined || !timingSafeEqual(tagOf(bytes, macKey), bytes.subarray(TAG_OFFSET))) {
    return undefined;
  }
  const generation = bytes.readUInt32BE(GENERATION_OFFSET);
  if (generation < 1 || generation > MAX_GENERATION) {
    return undefined;
  }
  return {
    keyId,
    familyId: uuidOfHex(bytes.toString('hex', FAMILY_ID_OFFSET, FAMILY_SECRET_OFFSET)),
    familySecret: bytes.subarray(FAMILY_SECRET_OFFSET, GENERATION_OFFSET),
    generation,
  };
}

/** Returns what the database stores instead of the family's secret. */
export function hashFamilySecret(familySecret: Buffer): Buffer {
  return createHash('sha256').update(familySecret).digest();
}

/**
 * Identifies the retries of one refresh. The hash is keyed with the family's secret: the database does not hold it, so
 * a dump reveals nothing about the key, and a change of `AUTH_SECRET` does not alter it, so a retry is still recognised
 * after one.
 *
 * @param generation the generation presented together with the key
 */
export function hashRetryKey(parts: RefreshTokenParts, generation: number, retryKey: string): Buffer {
  return createHmac('sha256', parts.familySecret)
    .update(`ratchet retry key\n${parts.familyId}\n${generation}\n`)
    .update(retryKey)
    .digest();
}

/**
 * Identifies a retry key at every generation of its family, for the history of used keys. Keyed like `hashRetryKey`, for
 * the same reasons; short, because the history is rewritten by every rotation.
 */
export function digestRetryKey(parts: RefreshTokenParts, retryKey: string): Buffer {
  return createHmac('sha256', parts.familySecret)
    .update(`ratchet used key\n${parts.familyId}\n`)
    .update(retryKey)
    .digest()
    .subarray(0, RETRY_KEY_DIGEST_BYTES);
}

function tagOf(bytes: Buffer, macKey: Buffer): Buffer {
  return createHmac('sha256', macKey).update(PREFIX).update(bytes.subarray(0, TAG_OFFSET)).digest();
}
