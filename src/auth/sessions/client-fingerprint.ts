import { createHash } from 'node:crypto';
import type { ClientInfo } from '../../tokens/tokens.types.js';
import { networksOf } from '../client-network.js';

const BROWSERS = [
  [/\bEdgA?\b/, 'Edge'],
  [/\bOPR\b/, 'Opera'],
  [/\b(?:Firefox|FxiOS)\b/, 'Firefox'],
  [/\b(?:Chrome|CriOS)\b/, 'Chrome'],
  [/\bSafari\b/, 'Safari'],
] as const;

const SYSTEMS = [
  [/\b(?:iPhone|iPad)\b/, 'iOS'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
] as const;

/** Names where a client is: what a household has, or one IPv4 address. */
export function placeOf({ ipAddress }: Pick<ClientInfo, 'ipAddress'>): string {
  const [narrowest, second] = networksOf(ipAddress);
  return second ?? narrowest;
}

/**
 * Names the browser and the system, each out of a list: no text of a client gets into a mail, where it could be a message
 * from an intruder.
 */
export function describeClient({ userAgent = '' }: Pick<ClientInfo, 'userAgent'>): string {
  const nameIn = (names: typeof BROWSERS | typeof SYSTEMS): string | undefined =>
    names.find(([pattern]) => pattern.test(userAgent))?.[1];
  const names = [nameIn(BROWSERS), nameIn(SYSTEMS)].filter((name) => name !== undefined);
  return names.length === 0 ? 'unknown' : names.join(', ');
}

/**
 * Returns what a client of a user is recognised by: its user agent without version numbers, so that an update of a browser
 * is no new client, and its place. Hashed with the user's id, so that the table does not tell who shares one.
 */
export function fingerprintOf(userId: string, client: ClientInfo): Buffer {
  const program = (client.userAgent ?? '').replace(/[0-9][0-9._]*/g, '');
  return createHash('sha256')
    .update(`${userId}\n${program}\n${placeOf(client)}`)
    .digest();
}
