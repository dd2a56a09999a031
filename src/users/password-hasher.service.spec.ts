import { beforeAll, describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import { hash } from '@node-rs/argon2';
import { Config } from '../platform/config/config.js';
import { loadConfig } from '../platform/config/config.loader.js';
import { PasswordHasherService } from './password-hasher.service.js';

let hasher: PasswordHasherService;

beforeAll(async () => {
  const module = await Test.createTestingModule({
    providers: [PasswordHasherService, { provide: Config, useValue: loadConfig({}) }],
  }).compile();
  hasher = module.get(PasswordHasherService);
});

describe('PasswordHasherService', () => {
  it('makes Argon2id hashes with the documented parameters, a 16-byte salt and 32 bytes of output', async () => {
    const passwordHash = await hasher.hash(Buffer.from('correct horse'));
    expect(passwordHash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(hasher.needsRehash(passwordHash)).toBe(false);
  });

  it('salts: one password has two hashes, and both verify', async () => {
    const password = Buffer.from('correct horse');
    const [first, second] = await Promise.all([hasher.hash(password), hasher.hash(password)]);
    expect(first).not.toBe(second);
    expect(await Promise.all([hasher.verify(first, password), hasher.verify(second, password)])).toEqual([true, true]);
  });

  it.each([
    ['bytes after the 72nd', `${'x'.repeat(72)}one`, `${'x'.repeat(72)}two`],
    ['the last of 1024 bytes', `${'x'.repeat(1023)}1`, `${'x'.repeat(1023)}2`],
    ['bytes after a NUL', 'start\u0000one', 'start\u0000two'],
    ['a NUL at the end', 'password', 'password\u0000'],
    ['a leading space', 'password', ' password'],
    ['a trailing space', 'password', 'password '],
    ['capitals', 'password', 'Password'],
  ])('counts %s', async (_reason, password, other) => {
    const passwordHash = await hasher.hash(Buffer.from(password));
    expect(await hasher.verify(passwordHash, Buffer.from(password))).toBe(true);
    expect(await hasher.verify(passwordHash, Buffer.from(other))).toBe(false);
  });

  it.each([
    ['less memory', { memoryCost: 9216 }],
    ['fewer passes', { timeCost: 1 }],
    ['a shorter output', { outputLen: 16 }],
    ['a shorter salt', { salt: Buffer.alloc(8, 1) }],
    ['another variant', { algorithm: 1 }],
    ['an older version', { version: 0 }],
  ])('wants a hash with %s renewed', async (_reason, parameter) => {
    const old = await hash('correct horse', { memoryCost: 19_456, timeCost: 2, parallelism: 1, ...parameter });
    expect(hasher.needsRehash(old)).toBe(true);
  });

  it('leaves a stronger hash alone', async () => {
    const stronger = await hash('correct horse', { memoryCost: 20_480, timeCost: 3, parallelism: 1 });
    expect(hasher.needsRehash(stronger)).toBe(false);
  });
});
