import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  decodeRefreshToken,
  encodeRefreshToken,
  hashFamilySecret,
  hashRetryKey,
  type RefreshTokenParts,
} from './refresh-token.codec.js';

const MAC_KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const PARTS: RefreshTokenParts = {
  keyId: 0x2a,
  familyId: '6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11',
  familySecret: Buffer.from('808182838485868788898a8b8c8d8e8f', 'hex'),
  generation: 0x01020304,
};

/** Made by another implementation from the token format in docs/rotation.md. */
const TOKEN = 'rt1.Km8fej5cC02OmlQNL2wbfhGAgYKDhIWGh4iJiouMjY6PAQIDBHRNxs3o1bDW-pYZ3N5BgpmiOu-0Qa1RSRFHhS5_sVf1';
const PREFIX_CHARACTERS = 4;
const TAG_OFFSET = 37;
const LAST_GENERATION = 0x7ffffffe;

const bytes = (count: number): fc.Arbitrary<Buffer<ArrayBuffer>> =>
  fc.uint8Array({ minLength: count, maxLength: count }).map((array) => Buffer.from(array));

const anyParts: fc.Arbitrary<RefreshTokenParts> = fc.record({
  keyId: fc.integer({ min: 0, max: 255 }),
  familyId: fc.uuid(),
  familySecret: bytes(16),
  generation: fc.integer({ min: 1, max: LAST_GENERATION }),
});

function decode(token: string, macKey = MAC_KEY): RefreshTokenParts | undefined {
  return decodeRefreshToken(token, () => macKey);
}

/** A token of any bytes whose tag holds: what only the owner of the server key could make. */
function signed(untagged: Buffer, macKey = MAC_KEY): string {
  const tag = createHmac('sha256', macKey).update('rt1.').update(untagged).digest();
  return `rt1.${Buffer.concat([untagged, tag]).toString('base64url')}`;
}

function untaggedBytesOf(token: string): Buffer {
  return Buffer.from(token.slice(PREFIX_CHARACTERS), 'base64url').subarray(0, TAG_OFFSET);
}

describe('the refresh token', () => {
  it('keeps the format of the tokens that are out there', () => {
    expect(encodeRefreshToken(PARTS, MAC_KEY)).toBe(TOKEN);
    expect(decode(TOKEN)).toEqual(PARTS);
  });

  it('gives back what was put in, for every key, family, secret and generation', () => {
    fc.assert(
      fc.property(anyParts, bytes(32), (parts, macKey) => {
        expect(decode(encodeRefreshToken(parts, macKey), macKey)).toEqual(parts);
      }),
    );
  });

  it('is a pure function: a successor minted again is the same, byte for byte', () => {
    fc.assert(
      fc.property(anyParts, bytes(32), (parts, macKey) => {
        expect(encodeRefreshToken({ ...parts }, Buffer.from(macKey))).toBe(encodeRefreshToken(parts, macKey));
      }),
    );
  });

  it('has one spelling: any text that is accepted is what encoding its parts gives', () => {
    const anyMutation = fc.tuple(fc.nat(TOKEN.length), fc.nat(2), fc.string({ unit: 'binary', maxLength: 3 }));
    fc.assert(
      fc.property(anyMutation, ([position, removedCharacters, inserted]) => {
        const text = TOKEN.slice(0, position) + inserted + TOKEN.slice(position + removedCharacters);
        const parts = decode(text);
        expect(parts === undefined ? undefined : encodeRefreshToken(parts, MAC_KEY)).toBe(parts && text);
        expect(parts === undefined).toBe(text !== TOKEN);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused after the flip of any one bit', () => {
    const raw = Buffer.from(TOKEN.slice(PREFIX_CHARACTERS), 'base64url');
    for (let bit = 0; bit < raw.length * 8; bit += 1) {
      const flipped = Buffer.from(raw);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(decode(`rt1.${flipped.toString('base64url')}`)).toBeUndefined();
    }
  });

  it('is refused under another server key', () => {
    fc.assert(
      fc.property(bytes(32), (otherKey) => {
        fc.pre(!otherKey.equals(MAC_KEY));
        expect(decode(TOKEN, otherKey)).toBeUndefined();
      }),
    );
  });

  it('asks for the server key that it names, and is refused when that one is not accepted', () => {
    const asked: number[] = [];
    const parts = decodeRefreshToken(TOKEN, (keyId) => {
      asked.push(keyId);
      return undefined;
    });
    expect(parts).toBeUndefined();
    expect(asked).toEqual([PARTS.keyId]);
  });

  it('is refused by its shape alone, before any key is looked up', () => {
    const body = TOKEN.slice(PREFIX_CHARACTERS);
    const misshapen = [
      ...['', 'rt1.', body, `rt2.${body}`, `RT1.${body}`, `rt1${body}`, `rt1.rt1.${body}`],
      ...[
        TOKEN.slice(0, -1),
        `${TOKEN}A`,
        `${TOKEN}=`,
        `${TOKEN}==`,
        `${TOKEN}\n`,
        ` ${TOKEN}`,
        `${TOKEN} `,
        `${TOKEN}\0`,
      ],
      ...[TOKEN.replaceAll('-', '+'), TOKEN.replaceAll('_', '/'), `rt1.${'é'.repeat(92)}`, `rt1.${'A'.repeat(91)}\n`],
      `rt1.${'A'.repeat(100_000)}`,
    ];
    for (const text of misshapen) {
      const parts = decodeRefreshToken(text, () => {
        throw new Error('a key was looked up');
      });
      expect(parts).toBeUndefined();
    }
  });

  it('has a generation that the database can hold, and its successor too', () => {
    const withGeneration = (generation: number): string => {
      const untagged = untaggedBytesOf(TOKEN);
      untagged.writeUInt32BE(generation, 33);
      return signed(untagged);
    };
    expect(decode(withGeneration(0))).toBeUndefined();
    expect(decode(withGeneration(1))).toEqual({ ...PARTS, generation: 1 });
    expect(decode(withGeneration(LAST_GENERATION))).toEqual({ ...PARTS, generation: LAST_GENERATION });
    expect(decode(withGeneration(LAST_GENERATION + 1))).toBeUndefined();
    expect(decode(withGeneration(0xffffffff))).toBeUndefined();
  });

  it('is bound to its version: a tag over the bytes alone does not hold', () => {
    const untagged = untaggedBytesOf(TOKEN);
    const tag = createHmac('sha256', MAC_KEY).update(untagged).digest();
    expect(decode(`rt1.${Buffer.concat([untagged, tag]).toString('base64url')}`)).toBeUndefined();
    expect(decode(signed(untagged))).toEqual(PARTS);
  });
});

describe('what the database stores of a family', () => {
  it('is the SHA-256 of the secret', () => {
    expect(hashFamilySecret(Buffer.from('abc')).toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});

describe('the hash of a retry key', () => {
  const key = 'ik-secret-0123456789abcdef';

  it('is the same for the same refresh, whatever server key the token was tagged with', () => {
    expect(hashRetryKey({ ...PARTS, keyId: 7 }, 3, key)).toEqual(hashRetryKey(PARTS, 3, key));
  });

  it('differs by family, by secret, by generation and by key', () => {
    const hashes = [
      hashRetryKey(PARTS, 3, key),
      hashRetryKey({ ...PARTS, familyId: '6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e12' }, 3, key),
      hashRetryKey({ ...PARTS, familySecret: Buffer.alloc(16) }, 3, key),
      hashRetryKey(PARTS, 4, key),
      hashRetryKey(PARTS, 3, `${key}0`),
    ].map((hash) => hash.toString('hex'));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('keeps the generation and the key apart, whatever characters the key has', () => {
    expect(hashRetryKey(PARTS, 1, `1${key}`)).not.toEqual(hashRetryKey(PARTS, 11, key));
    expect(hashRetryKey(PARTS, 1, `2\n${key}`)).not.toEqual(hashRetryKey(PARTS, 12, key));
  });

  it('does not contain the key', () => {
    expect(hashRetryKey(PARTS, 3, key)).toHaveLength(32);
  });
});
