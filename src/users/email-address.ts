import { domainToASCII, domainToUnicode } from 'node:url';
import { EMAIL_MAX_CHARACTERS } from './users.types.js';

const MAX_LOCAL_PART_LENGTH = 64;

/** RFC 5322 §3.2.3 dot-atom, lower-case. */
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

/** Admits what may reach the host parser, which would silently repair the rest: drop tabs, decode `%41`, cut at `/`. */
const DOMAIN_CHARACTERS = /^[a-z0-9.\-\u0080-\uffff]+$/;

/** RFC 1123 §2.1. */
const DOMAIN_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Returns one result for all spellings of a mailbox, and never repairs a text into another mailbox: nothing is trimmed,
 * and a character that merely looks like, or folds to, an accepted one is refused. Otherwise the owner of the
 * look-alike shares, or blocks, the account of the original.
 *
 * A domain of one label (`user@localhost`) is accepted: it is what development and private networks use, and a dot
 * proves nothing about an unverified address. Quoted local parts, comments and IP literals are refused.
 *
 * @returns ASCII in lower case, at most 254 characters, the domain as A-labels (RFC 5890 §2.3.2.1); or undefined
 */
export function parseEmailAddress(input: string): string | undefined {
  if (input.length > EMAIL_MAX_CHARACTERS) {
    return undefined;
  }
  // ASCII only: toLowerCase() would also turn the Kelvin sign into a k.
  const lowerCased = input.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const at = lowerCased.indexOf('@');
  const localPart = lowerCased.slice(0, Math.max(at, 0));
  const domain = parseDomain(lowerCased.slice(at + 1));
  if (localPart.length > MAX_LOCAL_PART_LENGTH || !LOCAL_PART.test(localPart) || domain === undefined) {
    return undefined;
  }
  const address = `${localPart}@${domain}`;
  return address.length > EMAIL_MAX_CHARACTERS ? undefined : address;
}

function parseDomain(domain: string): string | undefined {
  if (!DOMAIN_CHARACTERS.test(domain)) {
    return undefined;
  }
  const ascii = domainToASCII(domain);
  // Converting back shows whether the mapping of UTS #46 §4 changed more than the encoding.
  const unicode = domainToUnicode(ascii);
  const isOnlyReencoded = ascii === domain || unicode === domain;
  // Versions of Node disagree about an A-label that cannot be decoded, so it is refused.
  const isReversible =
    domainToASCII(unicode) === ascii && !unicode.split('.').some((label) => label.startsWith('xn--'));
  const labels = ascii.split('.');
  const isHostName = labels.every((label) => DOMAIN_LABEL.test(label)) && !/^[0-9]+$/.test(labels.at(-1) ?? '');
  return isOnlyReencoded && isReversible && isHostName ? ascii : undefined;
}
