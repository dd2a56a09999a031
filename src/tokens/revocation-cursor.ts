import type { LogPosition } from './revocation-log.js';

const CURSOR = /^([\w-]{11})\.(0|[1-9]\d{0,19})\.([\w-]{8})\.(0|[1-9]\d{0,14})$/;

/** Opaque to whoever holds it. */
export function formatCursor({ epoch, xid, instance, entry }: LogPosition): string {
  return [epoch, xid, instance, entry].join('.');
}

/** @returns undefined for what no instance has issued */
export function parseCursor(text: string): LogPosition | undefined {
  const [, epoch, xid, instance, entry] = CURSOR.exec(text) ?? [];
  return epoch === undefined || xid === undefined || instance === undefined || entry === undefined
    ? undefined
    : { epoch, xid: BigInt(xid), instance, entry: Number(entry) };
}
