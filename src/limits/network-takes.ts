import type { Take } from './counter.js';

/**
 * Takes from the counter of a client's network, and of each wider one that it is part of, which has twice as many points
 * as the one before: a client that has many IPv6 networks does not have many times the limit.
 *
 * @param networks the narrowest first
 */
export function takesOfNetworks(networks: readonly string[], take: Omit<Take, 'key'>): readonly Take[] {
  return networks.map((key, index) => ({ ...take, key, limit: take.limit * 2 ** index }));
}
