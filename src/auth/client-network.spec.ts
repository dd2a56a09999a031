import { describe, expect, it } from 'vitest';
import { networksOf } from './client-network.js';

describe('the networks that attempts are counted under', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
    ['64:ff9b::203.0.113.7', '203.0.113.7'],
    ['64:FF9B::CB00:7107', '203.0.113.7'],
    ['::ffff:0:0', '0.0.0.0'],
  ])('of the IPv4 address %s is the address', (address, network) => {
    expect(networksOf(address)).toEqual([network]);
  });

  it.each([
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::2:0:0:0:1', '2001:db8:0:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1', 'fe80:0:0:0::/64'],
    ['64:ff9b:1::203.0.113.7', '64:ff9b:1:0::/64'],
    ['::203.0.113.7', '0:0:0:0::/64'],
  ])('of the IPv6 address %s begin with its /64', (address, network) => {
    expect(networksOf(address)[0]).toBe(network);
  });

  it('of an IPv6 address are its /64, /56 and /48', () => {
    expect(networksOf('2001:db8:1:abcd::1')).toEqual([
      '2001:db8:1:abcd::/64',
      '2001:db8:1:ab00::/56',
      '2001:db8:1::/48',
    ]);
  });

  it('are one for all addresses of a /64 and another for the next', () => {
    const inside = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::', '2001:db8:1:2:0:0:0:9'].map(
      (address) => networksOf(address)[0],
    );
    expect(new Set(inside).size).toBe(1);
    expect(networksOf('2001:db8:1:3::1')[0]).not.toBe(inside[0]);
  });

  it.each([[undefined], [''], ['unknown'], ['_hidden'], ['203.0.113.7:443'], ['1.2.3'], ['fe80::1%eth0\u0000']])(
    'of %j, which is no address, is shared by all such',
    (address) => {
      expect(networksOf(address)).toEqual(['unknown']);
    },
  );
});
