import { isIP, isIPv6 } from 'node:net';

/** The first 96 bits of an address that ends in an IPv4 address: IPv4-mapped, and NAT64 (RFC 6052 section 2.1). */
const BEFORE_IPV4 = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0'];

/**
 * Providers assign IPv6 networks of these sizes: a /64 to a device or a link, a /56 to a household, a /48 to a company or
 * for a few dollars. A subscriber chooses the rest of the address freely.
 */
const PREFIX_BITS = [64, 56, 48] as const;
const ADDRESS_GROUPS = 8;

/**
 * Returns the keys that attempts of one client are counted by, the narrowest network first: an IPv4 address, also when it
 * is written as an IPv6 one, or the /64, /56 and /48 of an IPv6 address. NAT64 writes the IPv4 addresses of all its
 * clients as those of one /64. Everything that is not an address shares one key.
 */
export function networksOf(ipAddress: string | undefined): readonly [string, ...string[]] {
  if (ipAddress === undefined || isIP(ipAddress) === 0) {
    return ['unknown'];
  }
  if (!isIPv6(ipAddress)) {
    return [ipAddress];
  }
  const groups = groupsOf(ipAddress);
  if (BEFORE_IPV4.includes(groups.slice(0, 6).join(':'))) {
    return [
      groups
        .slice(6)
        .flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff])
        .join('.'),
    ];
  }
  const [narrowest, ...wider] = PREFIX_BITS;
  return [prefixOf(groups, narrowest), ...wider.map((bits) => prefixOf(groups, bits))];
}

function prefixOf(groups: readonly string[], bits: number): string {
  const kept = groups.slice(0, Math.ceil(bits / 16)).map((group) => parseInt(group, 16));
  const last = (kept.at(-1) ?? 0) & (0xffff << ((16 - (bits % 16)) % 16));
  return `${[...kept.slice(0, -1), last].map((group) => group.toString(16)).join(':')}::/${bits}`;
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
