import { isIP, isIPv6 } from 'node:net';

/** The first 96 bits of an address that ends in an IPv4 address: IPv4-mapped, and NAT64 (RFC 6052 section 2.1). */
const BEFORE_IPV4 = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0'];

/** A provider assigns this half of an IPv6 address to one subscriber, who chooses the other half freely. */
const NETWORK_GROUPS = 4;
const ADDRESS_GROUPS = 8;

/**
 * Returns the key that attempts of one client are counted by: an IPv4 address, also when it is written as an IPv6 one,
 * or the /64 network of an IPv6 address. NAT64 writes the IPv4 addresses of all its clients as those of one /64.
 * Everything that is not an address shares one key.
 */
export function networkOf(ipAddress: string | undefined): string {
  if (ipAddress === undefined || isIP(ipAddress) === 0) {
    return 'unknown';
  }
  if (!isIPv6(ipAddress)) {
    return ipAddress;
  }
  const groups = groupsOf(ipAddress);
  if (BEFORE_IPV4.includes(groups.slice(0, 6).join(':'))) {
    return groups
      .slice(6)
      .flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff])
      .join('.');
  }
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** The eight groups without leading zeros, `::` and a dotted end written out. */
function groupsOf(ipv6: string): readonly string[] {
  const [head = '', tail] = ipv6
    .toLowerCase()
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_dotted, ...bytes: string[]) => groupsOfIpv4(bytes.slice(0, 4)))
    .split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = ADDRESS_GROUPS - before.length - after.length;
  return [...before, ...Array<string>(missing).fill('0'), ...after].map((group) => parseInt(group, 16).toString(16));
}

function groupsOfIpv4([first, second, third, fourth]: readonly string[]): string {
  const group = (high?: string, low?: string): string => (Number(high) * 256 + Number(low)).toString(16);
  return `${group(first, second)}:${group(third, fourth)}`;
}
