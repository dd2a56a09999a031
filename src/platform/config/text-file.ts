import { readFileSync } from 'node:fs';

export type TextFile =
  | { readonly kind: 'text'; readonly text: string }
  /** `reason` is an errno code such as `ENOENT`, or says that the bytes are not text. */
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * Reads a text file. Bytes that are not UTF-8 make it unreadable instead of becoming replacement characters: 32 raw
 * random bytes would lose most of their randomness.
 */
export function readTextFile(path: string): TextFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { kind: 'unreadable', reason: errorCode(error) };
  }
  try {
    return { kind: 'text', text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { kind: 'unreadable', reason: 'not UTF-8 text' };
  }
}

/** Editors, `echo` and `openssl` end a file with a newline that is not part of the secret. */
export function withoutTrailingNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** @returns the errno code, never the message, which contains paths */
export function errorCode(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown error';
}
