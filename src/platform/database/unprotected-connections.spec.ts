import { describe, expect, it } from 'vitest';
import { listUnprotectedConnections } from './unprotected-connections.js';

function listOf(url: string, directUrl?: string, redisUrl?: string): string[] {
  return listUnprotectedConnections({
    database: { url, directUrl, poolSize: 1, dataDir: '.' },
    limits: { isOn: true, redisUrl },
  });
}

describe('a connection to another machine', () => {
  it.each([
    'postgres://ratchet:x@db.example.com/ratchet',
    'postgres://ratchet:x@db.example.com/ratchet?sslmode=disable',
    'postgres://ratchet:x@db.example.com/ratchet?sslmode=no-verify',
    'postgres://ratchet:x@10.0.0.7/ratchet',
    'postgres://ratchet:x@[2001:db8::7]:5432/ratchet',
    'postgresql:///ratchet?host=db.example.com',
  ])('is unprotected by %s', (url) => {
    expect(listOf(url)).toEqual(['DATABASE_URL']);
  });

  it.each([
    'postgres://ratchet:x@db.example.com/ratchet?sslmode=verify-full',
    'postgres://ratchet:x@db.example.com/ratchet?sslmode=require',
    'postgres://ratchet:x@db.example.com/ratchet?ssl=true',
  ])('is protected by %s', (url) => {
    expect(listOf(url)).toEqual([]);
  });

  it.each([
    'postgres://ratchet:x@localhost/ratchet',
    'postgres://ratchet:x@127.0.0.1:5432/ratchet',
    'postgres://ratchet:x@[::1]/ratchet',
    'postgres:///ratchet?host=/run/postgresql&user=ratchet',
    'postgres://ratchet:x@postgres:5432/ratchet',
  ])('is not what %s leads to', (url) => {
    expect(listOf(url, url)).toEqual([]);
  });

  it('is found in each setting that describes one', () => {
    const plain = 'postgres://ratchet:x@db.example.com/ratchet';
    expect(listOf(plain, plain, 'redis://cache.example.com')).toEqual([
      'DATABASE_URL',
      'DATABASE_DIRECT_URL',
      'REDIS_URL',
    ]);
    expect(listOf('postgres://postgres/ratchet', undefined, 'rediss://cache.example.com')).toEqual([]);
    expect(listOf('postgres://postgres/ratchet', undefined, 'redis://redis:6379')).toEqual([]);
  });
});
