import { type ListParser, type Parser, splitList } from './config.parsers.js';

export const SECRET_MIN_BYTES = 32;

const MIN_DISTINCT_CHARACTERS = 10;
const BITS_PER_HEX_DIGIT = 4;
const BITS_PER_BASE64_CHARACTER = 6;

const HEX = /^[0-9a-f]+$/i;
const BASE64 = /^(?:[\w-]+|[A-Za-z0-9+/]+)={0,2}$/;

export const expectedSecret = `${SECRET_MIN_BYTES} or more random bytes, written in hex, base64 or base64url`;

export const howToMakeASecret =
  'make one with `openssl rand -base64 32`, or with ' +
  "`node -e \"console.log(require('node:crypto').randomBytes(32).toString('base64url'))\"`";

/**
 * What signs and encrypts in the test kit, and in nothing else: everyone knows it. A service refuses it in every
 * environment, so that what the kit has made opens nowhere, and the kit opens nothing that a service has made.
 */
export const TEST_KIT_SECRET = 'the-public-secret-of-the-ratchet-test-kit-0f1e2d3c4b5a69788796a5b4c3d2e1f0';

const isOfTestKit = 'must not be the public secret of the test kit';

/** The key material is the UTF-8 bytes of the text, even though the text is hex or base64. */
export const authSecret: Parser<Buffer> = {
  accepts: expectedSecret,
  hint: howToMakeASecret,
  explain: (text) => (text === TEST_KIT_SECRET ? isOfTestKit : undefined),
  parse: (text) => (isFitSecret(text) ? Buffer.from(text, 'utf8') : undefined),
};

export const authSecretList: ListParser<Buffer> = {
  empty: [],
  accepts: 'a comma-separated list of former or coming values of `AUTH_SECRET`',
  hint: `each must be ${expectedSecret}; ${howToMakeASecret}`,
  explain: (text) => (splitList(text).includes(TEST_KIT_SECRET) ? isOfTestKit : undefined),
  parse: (text) => {
    const secrets = splitList(text);
    return secrets.every(isFitSecret) ? secrets.map((secret) => Buffer.from(secret, 'utf8')) : undefined;
  },
};

/**
 * Accepts what the documented commands print, and refuses what people type or copy from a tutorial. Randomness cannot be
 * proved; a random secret of the required length breaks one of these rules with negligible probability.
 */
export function isFitSecret(text: string): boolean {
  const isHex = HEX.test(text);
  const bitCount = text.replace(/=+$/, '').length * (isHex ? BITS_PER_HEX_DIGIT : BITS_PER_BASE64_CHARACTER);
  return (
    text !== TEST_KIT_SECRET &&
    (isHex || BASE64.test(text)) &&
    bitCount >= SECRET_MIN_BYTES * 8 &&
    new Set(text).size >= MIN_DISTINCT_CHARACTERS &&
    !isRepetition(text) &&
    !isSequence(text) &&
    (isHex || bitsAsWords(text) > bitCount)
  );
}

/** How often letters occur in English, in percent. Other languages in Latin script are close enough. */
const LETTER_PERCENT: Readonly<Record<string, number>> = {
  ...{ e: 12.7, t: 9.1, a: 8.2, o: 7.5, i: 7, n: 6.7, s: 6.3, h: 6.1, r: 6, d: 4.3, l: 4, c: 2.8, u: 2.8 },
  ...{ m: 2.4, w: 2.4, f: 2.2, g: 2, y: 2, p: 1.9, b: 1.5, v: 1, k: 0.8, j: 0.2, q: 0.1, x: 0.2, z: 0.1 },
};

const WORDS = /[A-Z]?[a-z]+|[A-Z]+|\d+|[^A-Za-z\d]+/g;

/** One of five kinds, and an end after one character in four. */
const BITS_PER_WORD = 4.3;
const BITS_TO_CONTINUE = 0.4;

/**
 * Estimates the bits of a text as a row of words and numbers: about three for a letter of a word, whatever its case is,
 * and about eleven for a character between two of another kind, of which random text is full.
 */
function bitsAsWords(text: string): number {
  let bits = 0;
  for (const [word] of text.matchAll(WORDS)) {
    bits += BITS_PER_WORD;
    for (const character of word.toLowerCase()) {
      const percent = LETTER_PERCENT[character] ?? (/\d/.test(character) ? 10 : 50);
      bits += BITS_TO_CONTINUE - Math.log2(percent / 100);
    }
  }
  return bits;
}

/** Whether the text repeats a shorter one at least twice; the last repetition may be cut off. */
function isRepetition(text: string): boolean {
  for (let period = 1; period <= text.length / 2; period += 1) {
    if (text.slice(period) === text.slice(0, -period)) {
      return true;
    }
  }
  return false;
}

/** Whether most neighbours differ by the same step, as in `abcdefgh…` or `9876…`. */
function isSequence(text: string): boolean {
  const countByStep = new Map<number, number>();
  for (let index = 1; index < text.length; index += 1) {
    const step = text.charCodeAt(index) - text.charCodeAt(index - 1);
    countByStep.set(step, (countByStep.get(step) ?? 0) + 1);
  }
  return Math.max(...countByStep.values()) > text.length / 2;
}
