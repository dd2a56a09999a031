import { createHmac, timingSafeEqual } from 'node:crypto';
import { uuidOfHex } from '../platform/common/uuid.js';
import type { TicketDerivation, TicketForm } from './tickets.types.js';

const KEY_ID_OFFSET = 0;
const TICKET_ID_OFFSET = 1;
const TAG_OFFSET = 17;
const TOKEN_BYTES = 49;

/** 49 bytes are 65 characters and a third: the last one has four slack bits, which are zero in four characters only. */
const ENCODED_SHAPE = /^[A-Za-z0-9_-]{65}[AQgw]$/;

const CODE_DIGITS = 8;
const CODE_COUNT = 10n ** BigInt(CODE_DIGITS);
const CODE_SHAPE = /^[0-9]{8}$/;

export interface TicketTokenParts {
  /** Id of the server key that the tag was made with. */
  readonly keyId: number;
  /** Canonical lower-case UUID. */
  readonly id: string;
}

/** @param macKey the key that `keyId` names */
export function encodeTicketToken(form: TicketForm, { keyId, id }: TicketTokenParts, macKey: Buffer): string {
  const bytes = Buffer.alloc(TOKEN_BYTES);
  bytes.writeUInt8(keyId, KEY_ID_OFFSET);
  bytes.write(id.replaceAll('-', ''), TICKET_ID_OFFSET, 'hex');
  tagOf(form, bytes, macKey).copy(bytes, TAG_OFFSET);
  return `${form}.${bytes.toString('base64url')}`;
}

/**
 * Reads a token of one form that this service issued, and no other. The prefix is part of what the tag covers, so a token
 * of one form never passes for another. Nothing else is believed before the tag, so that rubbish never reaches the
 * database.
 *
 * @param macKeyOf the MAC key with this id, or undefined when it is not accepted
 * @returns undefined for anything that this service did not issue in this form
 */
export function decodeTicketToken(
  form: TicketForm,
  token: string,
  macKeyOf: (keyId: number) => Buffer | undefined,
): TicketTokenParts | undefined {
  const prefix = `${form}.`;
  const encoded = token.slice(prefix.length);
  if (!token.startsWith(prefix) || !ENCODED_SHAPE.test(encoded)) {
    return undefined;
  }
  const bytes = Buffer.from(encoded, 'base64url');
  const keyId = bytes.readUInt8(KEY_ID_OFFSET);
  const macKey = macKeyOf(keyId);
  if (macKey === undefined || !timingSafeEqual(tagOf(form, bytes, macKey), bytes.subarray(TAG_OFFSET))) {
    return undefined;
  }
  return { keyId, id: uuidOfHex(bytes.toString('hex', TICKET_ID_OFFSET, TAG_OFFSET)) };
}

/**
 * Returns the eight digits that a user types. 2^64 values are divided among 10^8 codes: no code is likelier than another
 * by more than one part in 10^11.
 *
 * @param derivationKey the key of the secret that the ticket was issued under
 */
export function codeOfTicket(id: string, derivationKey: Buffer): string {
  const value = derive('code', id, derivationKey).readBigUInt64BE(0) % CODE_COUNT;
  return value.toString().padStart(CODE_DIGITS, '0');
}

/** Compares in constant time; a text that is not eight digits is no code. */
export function isCodeOfTicket(id: string, code: string, derivationKey: Buffer): boolean {
  return CODE_SHAPE.test(code) && timingSafeEqual(Buffer.from(code), Buffer.from(codeOfTicket(id, derivationKey)));
}

/** Returns 32 bytes that only this service can compute, and computes again each time. */
export function deriveFromTicket(derivation: TicketDerivation, id: string, derivationKey: Buffer): Buffer {
  return derive(derivation, id, derivationKey);
}

function derive(label: 'code' | TicketDerivation, id: string, derivationKey: Buffer): Buffer {
  return createHmac('sha256', derivationKey).update(`ratchet ticket ${label}\n${id}`).digest();
}

function tagOf(form: TicketForm, bytes: Buffer, macKey: Buffer): Buffer {
  return createHmac('sha256', macKey).update(`${form}.`).update(bytes.subarray(0, TAG_OFFSET)).digest();
}
