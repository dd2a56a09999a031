import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseEmailAddress } from './email-address.js';

const accepted: readonly (readonly [reason: string, input: string, canonical: string])[] = [
  ['an ordinary address', 'ada@example.com', 'ada@example.com'],
  ['capitals in both parts', 'Ada.Lovelace@EXAMPLE.Com', 'ada.lovelace@example.com'],
  ['every character of an atom', "!#$%&'*+-/=?^_`{|}~9@example.com", "!#$%&'*+-/=?^_`{|}~9@example.com"],
  ['a domain of one label', 'ada@localhost', 'ada@localhost'],
  ['a domain in its own script', 'ada@bücher.example', 'ada@xn--bcher-kva.example'],
  ['the same domain as A-label', 'ada@XN--BCHER-KVA.example', 'ada@xn--bcher-kva.example'],
  ['a sharp s, which is not ss', 'ada@faß.example', 'ada@xn--fa-hia.example'],
  ['64 characters before the @', `${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  ['a label of 63 characters', `a@${'b'.repeat(63)}.com`, `a@${'b'.repeat(63)}.com`],
  ['254 characters', `a@${'b.'.repeat(124)}comm`, `a@${'b.'.repeat(124)}comm`],
];

const refused: readonly (readonly [reason: string, input: string])[] = [
  ['nothing', ''],
  ['no @', 'ada.example.com'],
  ['nothing before the @', '@example.com'],
  ['nothing after the @', 'ada@'],
  ['two @', 'ada@evil.example@example.com'],
  ['a full-width @', 'ada＠example.com'],
  ['a full-width @ beside a real one', 'ada＠evil.example@example.com'],
  ['a space in front', ' ada@example.com'],
  ['a space behind', 'ada@example.com '],
  ['a line feed behind', 'ada@example.com\n'],
  ['CR LF and a header', 'ada@example.com\r\nbcc: eve@example.com'],
  ['a tab inside the domain', 'ada@exam\tple.com'],
  ['a NUL', 'ada\u0000@example.com'],
  ['a DEL in the domain', 'ada@example\u007f.com'],
  ['a C1 control character', 'ada@exam\u0085ple.com'],
  ['a lone surrogate before the @', 'ada\ud800@example.com'],
  ['a lone surrogate after the @', 'ada@exam\udc00ple.com'],
  ['a Kelvin sign, which folds to k', 'a\u212aa@example.com'],
  ['a Kelvin sign in the domain', 'ada@\u212ainder.example'],
  ['letters beyond ASCII before the @', 'adä@example.com'],
  ['a Cyrillic look-alike before the @', 'аda@example.com'],
  ['full-width letters in the domain', 'ada@ｅxample.com'],
  ['an ideographic full stop', 'ada@example。com'],
  ['a ligature', 'ada@ﬁne.example'],
  ['a soft hyphen', 'ada@exam\u00adple.com'],
  ['a zero-width space', 'ada@exam\u200bple.com'],
  ['a zero-width joiner between letters', 'ada@exam\u200dple.com'],
  ['a variation selector', 'ada@exam\ufe0fple.com'],
  ['a capital beyond ASCII', 'ada@BÜCHER.example'],
  ['a decomposed letter', 'ada@bu\u0308cher.example'],
  ['an A-label that decodes to nothing', 'ada@xn--a.example'],
  ['an A-label without anything encoded', 'ada@xn--abc-.example'],
  ['an A-label that is no Punycode', 'ada@xn--zzzzzz99999.example'],
  ['A-labels and letters beyond ASCII mixed', 'ada@xn--bcher-kva.bücher'],
  ['a quoted local part', '"ada lovelace"@example.com'],
  ['a comment', 'ada(work)@example.com'],
  ['a display name', 'Ada <ada@example.com>'],
  ['two addresses', 'ada@example.com,eve@example.com'],
  ['a dot in front', '.ada@example.com'],
  ['a dot before the @', 'ada.@example.com'],
  ['two dots', 'ada..b@example.com'],
  ['an empty label', 'ada@example..com'],
  ['a trailing dot, a second name of the same host', 'ada@example.com.'],
  ['a leading dot in the domain', 'ada@.example.com'],
  ['a hyphen at the start of a label', 'ada@-example.com'],
  ['a hyphen at the end of a label', 'ada@example-.com'],
  ['an underscore in the domain', 'ada@exam_ple.com'],
  ['a percent sign in the domain', 'ada@ex%61mple.com'],
  ['a path', 'ada@example.com/x'],
  ['a port', 'ada@example.com:25'],
  ['an IPv4 address', 'ada@192.0.2.1'],
  ['an IPv4 address in disguise', 'ada@0x7f.1'],
  ['an IPv4 address as one number', 'ada@3221225985'],
  ['an IP literal', 'ada@[192.0.2.1]'],
  ['an IPv6 literal', 'ada@[IPv6:2001:db8::1]'],
  ['65 characters before the @', `${'a'.repeat(65)}@example.com`],
  ['a label of 64 characters', `a@${'b'.repeat(64)}.com`],
  ['a label of more than 63 characters once encoded', `a@${'ü'.repeat(60)}.com`],
  ['255 characters', `a@${'b.'.repeat(124)}commm`],
  ['254 characters of which encoding makes more', `a@${'ü.'.repeat(124)}comm`],
];

const atom = fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}$/);
const localPart = fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('.'));
const addressLike = fc
  .tuple(localPart, fc.oneof(fc.domain(), fc.string({ unit: 'grapheme', maxLength: 30 })))
  .map((parts) => parts.join('@'));

describe('parseEmailAddress', () => {
  it.each(accepted)('accepts %s', (_reason, input, canonical) => {
    expect(parseEmailAddress(input)).toBe(canonical);
  });

  it.each(refused)('refuses %s', (_reason, input) => {
    expect(parseEmailAddress(input)).toBeUndefined();
  });

  it('gives lower-case ASCII within the limits, and itself for what it gave', () => {
    fc.assert(
      fc.property(fc.oneof(addressLike, fc.string({ unit: 'binary' })), (input) => {
        const canonical = parseEmailAddress(input);
        if (canonical === undefined) {
          return;
        }
        expect(canonical).toMatch(/^[!-?[-~]{1,64}@[a-z0-9.-]+$/);
        expect(canonical.length).toBeLessThanOrEqual(254);
        expect(parseEmailAddress(canonical)).toBe(canonical);
      }),
    );
  });

  it('gives one result whatever the case of an ordinary address', () => {
    fc.assert(
      fc.property(localPart, fc.domain(), (local, domain) => {
        const address = `${local}@${domain}`;
        expect(parseEmailAddress(address.toUpperCase())).toBe(parseEmailAddress(address.toLowerCase()));
      }),
    );
  });
});
