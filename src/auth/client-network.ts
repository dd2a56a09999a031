import { isIP, isIPv6 } from 'node:net';

const IPV4_IN_IPV6 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/** A provider assigns this half of an IPv6 address to one subscriber, who chooses the other half freely. */
const NETWORK_GROUPS = 4;
const ADDRESS_GROUPS = 8;

/**
 * Returns the key that attempts of one client are counted by: an IPv4 address, also when it is written as an IPv6 one,
 * or the /64 network of an IPv6 address. Everything that is not an address (a proxy may write anything) shares one key.
 */
export function networkOf(ipAddress: string | undefined): string {
  if (ipAddress === undefined || isIP(ipAddress) === 0) {
    return 'unknown';
  }
  const ipv4 = IPV4_IN_IPV6.exec(ipAddress)?.[1];
  if (ipv4 !== undefined || !isIPv6(ipAddress)) {
    return ipv4 ?? ipAddress;
  }
  return `${groupsOf(ipAddress).slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** The eight groups without leading zeros, `::` written out. A dotted end stands for two groups that are not needed. */
function groupsOf(ipv6: string): readonly string[] {
  const [head = '', tail] = ipv6
    .toLowerCase()
    .replace(/\d+(\.\d+){3}$/, '0:0')
    .split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = ADDRESS_GROUPS - before.length - after.length;
  return [...before, ...Array<string>(missing).fill('0'), ...after].map((group) => parseInt(group, 16).toString(16));
}
