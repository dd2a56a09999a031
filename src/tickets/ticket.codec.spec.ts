import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  codeOfTicket,
  decodeTicketToken,
  deriveFromTicket,
  encodeTicketToken,
  isCodeOfTicket,
  type TicketTokenParts,
} from './ticket.codec.js';
import { TICKET_FORMS, TICKET_PURPOSES, type TicketForm } from './tickets.types.js';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const PARTS: TicketTokenParts = { keyId: 0x2a, id: '6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11' };
const FORMS = Object.keys(TICKET_FORMS) as TicketForm[];

/** Made by another implementation from the format in docs/adr/0024-tickets.md. */
const TOKEN = 'pr1.Km8fej5cC02OmlQNL2wbfhFFtYeqwDqkKk4acsI1HE1wP8UQ3j6RUm5GNSCVg5kzmg';
const PREFIX_CHARACTERS = 4;
const TAG_OFFSET = 17;

const bytes = (count: number): fc.Arbitrary<Buffer<ArrayBuffer>> =>
  fc.uint8Array({ minLength: count, maxLength: count }).map((array) => Buffer.from(array));

const anyForm = fc.constantFrom(...FORMS);
const anyParts: fc.Arbitrary<TicketTokenParts> = fc.record({
  keyId: fc.integer({ min: 0, max: 255 }),
  id: fc.uuid(),
});

function decode(token: string, form: TicketForm = 'pr1', macKey = KEY): TicketTokenParts | undefined {
  return decodeTicketToken(form, token, () => macKey);
}

describe('a ticket token', () => {
  it('keeps the format of the tokens that are out there', () => {
    expect(encodeTicketToken('pr1', PARTS, KEY)).toBe(TOKEN);
    expect(encodeTicketToken('sc1', PARTS, KEY)).toBe(
      'sc1.Km8fej5cC02OmlQNL2wbfhGoo3MhPDLLHwh9EfDhoALfhbHdZ-nVEruH1t5a_yE9kw',
    );
    expect(decode(TOKEN)).toEqual(PARTS);
  });

  it('gives back what was put in, for every form, key and id', () => {
    fc.assert(
      fc.property(anyForm, anyParts, bytes(32), (form, parts, macKey) => {
        expect(decode(encodeTicketToken(form, parts, macKey), form, macKey)).toEqual(parts);
      }),
    );
  });

  it('of one form never passes for another, neither as it is nor under the other prefix', () => {
    for (const issued of FORMS) {
      const token = encodeTicketToken(issued, PARTS, KEY);
      for (const asked of FORMS) {
        expect([issued, asked, decode(token, asked)]).toEqual([issued, asked, issued === asked ? PARTS : undefined]);
        const relabelled = `${asked}${token.slice(issued.length)}`;
        expect([issued, asked, decode(relabelled, asked)]).toEqual([
          issued,
          asked,
          issued === asked ? PARTS : undefined,
        ]);
      }
    }
  });

  it('has one spelling: any text that is accepted is what encoding its parts gives', () => {
    const anyMutation = fc.tuple(fc.nat(TOKEN.length), fc.nat(2), fc.string({ unit: 'binary', maxLength: 3 }));
    fc.assert(
      fc.property(anyMutation, ([position, removedCharacters, inserted]) => {
        const text = TOKEN.slice(0, position) + inserted + TOKEN.slice(position + removedCharacters);
        expect(decode(text) === undefined).toBe(text !== TOKEN);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has no slack bits: no other last character is read as the same bytes', () => {
    const raw = Buffer.from(TOKEN.slice(PREFIX_CHARACTERS), 'base64url');
    const twins = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
      .map((last) => TOKEN.slice(0, -1) + last)
      .filter((text) => Buffer.from(text.slice(PREFIX_CHARACTERS), 'base64url').equals(raw));
    expect(twins).toHaveLength(16);
    expect(twins.filter((text) => decode(text) !== undefined)).toEqual([TOKEN]);
  });

  it('is refused after the flip of any one bit', () => {
    const raw = Buffer.from(TOKEN.slice(PREFIX_CHARACTERS), 'base64url');
    for (let bit = 0; bit < raw.length * 8; bit += 1) {
      const flipped = Buffer.from(raw);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(decode(`pr1.${flipped.toString('base64url')}`)).toBeUndefined();
    }
  });

  it('is refused under another server key', () => {
    fc.assert(
      fc.property(bytes(32), (otherKey) => {
        fc.pre(!otherKey.equals(KEY));
        expect(decode(TOKEN, 'pr1', otherKey)).toBeUndefined();
      }),
    );
  });

  it('asks for the server key that it names, and is refused when that one is not accepted', () => {
    const asked: number[] = [];
    const parts = decodeTicketToken('pr1', TOKEN, (keyId) => {
      asked.push(keyId);
      return undefined;
    });
    expect(parts).toBeUndefined();
    expect(asked).toEqual([PARTS.keyId]);
  });

  it('is refused by its shape alone, before any key is looked up', () => {
    const body = TOKEN.slice(PREFIX_CHARACTERS);
    const misshapen = [
      ...['', 'pr1', 'pr1.', body, `pr2.${body}`, `PR1.${body}`, `pr1${body}`, `pr1.pr1.${body}`, `rt1.${body}`],
      ...[TOKEN.slice(0, -1), `${TOKEN}A`, `${TOKEN}=`, `${TOKEN}==`, `${TOKEN}\n`, ` ${TOKEN}`, `${TOKEN} `],
      ...[`${TOKEN}\0`, TOKEN.replaceAll('-', '+').replaceAll('_', '/').replace(/.$/, 'B'), `pr1.${'é'.repeat(66)}`],
      `pr1.${'A'.repeat(65)}\n`,
      `pr1.${'A'.repeat(100_000)}`,
    ];
    for (const text of misshapen) {
      const parts = decodeTicketToken('pr1', text, () => {
        throw new Error('a key was looked up');
      });
      expect(parts).toBeUndefined();
    }
  });

  it('is bound to its form by the tag: one over the bytes alone does not hold', () => {
    const untagged = Buffer.from(TOKEN.slice(PREFIX_CHARACTERS), 'base64url').subarray(0, TAG_OFFSET);
    const tag = createHmac('sha256', KEY).update(untagged).digest();
    expect(decode(`pr1.${Buffer.concat([untagged, tag]).toString('base64url')}`)).toBeUndefined();
  });
});

describe('what is computed from a ticket', () => {
  // By another implementation: a change here would make every code and challenge that is under way a wrong one.
  it('keeps the values of the tickets that are out there', () => {
    expect(codeOfTicket(PARTS.id, KEY)).toBe('66037576');
    expect(deriveFromTicket('webauthn challenge', PARTS.id, KEY).toString('hex')).toBe(
      'd8b9c690576dd1bc3cd44256788fcff6600d9612c875a1f33dc3d4d707375838',
    );
    expect(deriveFromTicket('pkce verifier', PARTS.id, KEY).toString('hex')).toBe(
      '19126585888818cee58ac458dea91536cfe4313f6bf80bc278125fbf2d711d6e',
    );
    expect(deriveFromTicket('oidc nonce', PARTS.id, KEY).toString('hex')).toBe(
      'ece6d305061df0df4f94aa75674154e11b6abba1707ebb9e58122a86786402b2',
    );
  });

  it('is a code of eight digits, with its leading zeros, and every digit in every place', () => {
    const seen = Array.from({ length: 8 }, () => new Set<string>());
    for (let count = 0; count < 2_000; count += 1) {
      const code = codeOfTicket(`6f1f7a3e-5c0b-4d8e-9a54-${count.toString(16).padStart(12, '0')}`, KEY);
      expect(code).toMatch(/^[0-9]{8}$/);
      Array.from(code).forEach((digit, place) => seen[place]?.add(digit));
    }
    expect(seen.map((digits) => digits.size)).toEqual(Array.from({ length: 8 }, () => 10));
  });

  it('is a code that only its own spelling matches', () => {
    const code = codeOfTicket(PARTS.id, KEY);
    expect(isCodeOfTicket(PARTS.id, code, KEY)).toBe(true);
    const wrong = ['', code.slice(1), `${code}0`, ` ${code}`, `${code}\n`, '00000000', '６６０３７５７６', '6603757६'];
    for (const each of wrong) {
      expect(isCodeOfTicket(PARTS.id, each, KEY)).toBe(false);
    }
    expect(isCodeOfTicket('6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e12', code, KEY)).toBe(false);
    expect(isCodeOfTicket(PARTS.id, code, Buffer.alloc(32))).toBe(false);
  });
});

describe('the forms of tickets', () => {
  it('cover every purpose, and none lives longer than 72 hours', () => {
    expect(new Set(Object.values(TICKET_FORMS).map(({ purpose }) => purpose))).toEqual(
      new Set(Object.keys(TICKET_PURPOSES)),
    );
    const lifetimes = Object.values(TICKET_PURPOSES).map(({ lifetimeSeconds }) => lifetimeSeconds);
    expect(Math.max(...lifetimes)).toBe(72 * 3_600);
  });

  it('give a purpose with a typed code two tokens: the holder of the one without the mail needs the code', () => {
    const coded = FORMS.filter((form) => TICKET_FORMS[form].needs === 'code');
    for (const form of coded) {
      const others = FORMS.filter((each) => each !== form && TICKET_FORMS[each].purpose === TICKET_FORMS[form].purpose);
      expect(others.map((each) => TICKET_FORMS[each].needs)).toEqual(['nothing']);
    }
    expect(coded).toEqual(['rg1', 'ec1', 'ev1', 'sc1']);
  });
});
