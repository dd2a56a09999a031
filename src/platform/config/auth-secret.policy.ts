import { hasControlCharacters, type ListParser, type Parser, splitList } from './config.parsers.js';

export const SECRET_MIN_BYTES = 32;
const MIN_DISTINCT_CHARACTERS = 10;

const placeholderWords = [
  ...['change', 'replace', 'insert', 'placeholder', 'example', 'default', 'development', 'production'],
  ...['super', 'secret', 'private', 'password', 'passphrase', 'random', 'string', 'token', 'signing'],
  ...['authentication', 'least', 'characters', 'bytes', 'qwerty', 'asdfgh', 'zxcvbn', 'lorem', 'ipsum'],
];

export const howToMakeASecret =
  'make one with `openssl rand -base64 32`, or with ' +
  "`node -e \"console.log(require('node:crypto').randomBytes(32).toString('base64url'))\"`";

/** The key material is the UTF-8 bytes of the text, even where the text looks like hex or base64. */
export const authSecret: Parser<Buffer> = {
  accepts: `random text of at least ${SECRET_MIN_BYTES} bytes without commas, and no placeholder`,
  hint: howToMakeASecret,
  parse: (text) => (isFitSecret(text) ? Buffer.from(text, 'utf8') : undefined),
};

export const authSecretList: ListParser<Buffer> = {
  empty: [],
  accepts: 'a comma-separated list of former or coming values of `AUTH_SECRET`',
  hint: `each must be random text of at least ${SECRET_MIN_BYTES} bytes, and no placeholder`,
  parse: (text) => {
    const secrets = splitList(text);
    return secrets.every(isFitSecret) ? secrets.map((secret) => Buffer.from(secret, 'utf8')) : undefined;
  },
};

/**
 * Refuses what people type or copy from a tutorial instead of generating it. Randomness cannot be proved; a random
 * secret of the required length breaks each of these rules with negligible probability.
 */
export function isFitSecret(text: string): boolean {
  if (text !== text.trim() || hasControlCharacters(text)) {
    // Usually a second trailing newline, which would make a different key than the same secret without it.
    return false;
  }
  if (text.includes(',')) {
    // It could never move to AUTH_SECRET_ACCEPTED, so changing it would end every session.
    return false;
  }
  return (
    Buffer.byteLength(withoutPlaceholders(text), 'utf8') >= SECRET_MIN_BYTES &&
    new Set(text).size >= MIN_DISTINCT_CHARACTERS &&
    !isRepetition(text) &&
    !isSequence(text)
  );
}

/**
 * Removes the words that do not count towards the length, so that a random secret behind a label (`prod-secret-…`) is
 * still fit. Words of fewer than five letters are not in the list because random text contains them too often.
 */
function withoutPlaceholders(text: string): string {
  return text.replace(new RegExp(placeholderWords.join('|'), 'gi'), '');
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
