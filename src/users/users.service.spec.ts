import { beforeEach, describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import {
  AccountDisabledError,
  NotFoundError,
  OverloadedError,
  ValidationFailedError,
} from '../platform/common/domain.errors.js';
import { Config } from '../platform/config/config.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { TooManyAttemptsError } from '../limits/limits.errors.js';
import { type PasswordAttempt, PasswordAttemptsService } from '../limits/password-attempts.service.js';
import { RegistrationsService } from '../limits/registrations.service.js';
import { CommonPasswordsService } from './common-passwords.service.js';
import { PasswordHasherService } from './password-hasher.service.js';
import { InvalidCredentialsError } from './users.errors.js';
import { type NewUser, type StoredCredentials, UsersRepository } from './users.repository.js';
import { UsersService } from './users.service.js';
import type { Applicant, PreparedPasswordChange, User } from './users.types.js';

const ADA: StoredCredentials = {
  user: {
    id: '6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11',
    email: 'ada@example.com',
    isEmailVerified: false,
    status: 'active',
    roles: ['reader'],
    createdAt: new Date(0),
  },
  passwordHash: 'hash 0 of analytical engine',
  credentialVersion: 3,
};

/** One account, and a record of what was asked. */
class FakeRepository {
  stored: StoredCredentials = ADA;
  readonly lookUps: string[] = [];
  readonly inserted: NewUser[] = [];
  readonly rehashed: PreparedPasswordChange[] = [];
  rehashFailure: Error | undefined;

  findCredentialsByEmail(email: string): Promise<StoredCredentials | undefined> {
    this.lookUps.push(email);
    return Promise.resolve(email === this.stored.user.email ? this.stored : undefined);
  }

  findCredentialsById(userId: string): Promise<StoredCredentials | undefined> {
    this.lookUps.push(userId);
    return Promise.resolve(userId === this.stored.user.id ? this.stored : undefined);
  }

  findUserById(userId: string): Promise<User | undefined> {
    this.lookUps.push(userId);
    return Promise.resolve(undefined);
  }

  setUserRoles(): Promise<User | undefined> {
    return Promise.resolve(undefined);
  }

  insertUser(user: NewUser): Promise<User> {
    this.inserted.push(user);
    const { id, email, roles } = user;
    return Promise.resolve({ id, email, isEmailVerified: false, roles, status: 'active', createdAt: new Date(0) });
  }

  rehashPassword(_userId: string, change: PreparedPasswordChange): Promise<void> {
    this.rehashed.push(change);
    return this.rehashFailure === undefined ? Promise.resolve() : Promise.reject(this.rehashFailure);
  }
}

/** `hash <number> of x` is a hash of x; counts the work. */
class FakeHasher {
  hashes = 0;
  verifications = 0;
  isOutdated = false;
  hashFailure: Error | undefined;
  isFull = false;

  requireRoom(): void {
    if (this.isFull) {
      throw new OverloadedError('full');
    }
  }

  hash(password: Buffer): Promise<string> {
    this.hashes += 1;
    return this.hashFailure === undefined
      ? Promise.resolve(`hash ${this.hashes} of ${password.toString()}`)
      : Promise.reject(this.hashFailure);
  }

  verify(passwordHash: string | undefined, password: Buffer): Promise<boolean> {
    this.verifications += 1;
    return Promise.resolve(/^hash \d+ of (.*)$/.exec(passwordHash ?? '')?.[1] === password.toString());
  }

  needsRehash(): boolean {
    return this.isOutdated;
  }
}

/** Admits all attempts until it is closed, and remembers them with what came of each. */
class FakeLimits {
  isClosed = false;
  readonly attempts: object[] = [];
  readonly registrations: (readonly string[])[] = [];

  async admitAttempt(attempt: PasswordAttempt, check: () => Promise<boolean>): Promise<boolean> {
    this.refuseIfClosed();
    const isCorrect = await check();
    this.attempts.push({ ...attempt, isCorrect });
    return isCorrect;
  }

  admitRegistration(networks: readonly string[]): Promise<void> {
    this.refuseIfClosed();
    this.registrations.push(networks);
    return Promise.resolve();
  }

  private refuseIfClosed(): void {
    if (this.isClosed) {
      throw new TooManyAttemptsError('closed', 30);
    }
  }
}

const APPLICANT: Applicant = { networks: ['203.0.113.7'], hasGone: () => false };
const { networks: NETWORKS } = APPLICANT;
const SESSION_ID = '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564';

const ADA_IN_SESSION = { userId: ADA.user.id, sessionId: SESSION_ID };

let repository: FakeRepository;
let hasher: FakeHasher;
let limits: FakeLimits;
let users: UsersService;

beforeEach(async () => {
  repository = new FakeRepository();
  hasher = new FakeHasher();
  limits = new FakeLimits();
  const module = await Test.createTestingModule({
    providers: [
      UsersService,
      CommonPasswordsService,
      { provide: UsersRepository, useValue: repository },
      { provide: PasswordHasherService, useValue: hasher },
      {
        provide: PasswordAttemptsService,
        useValue: {
          countAttempt: (attempt: PasswordAttempt, check: () => Promise<boolean>) =>
            limits.admitAttempt(attempt, check),
        },
      },
      {
        provide: RegistrationsService,
        useValue: { countRegistration: (networks: readonly string[]) => limits.admitRegistration(networks) },
      },
      { provide: DatabaseService, useValue: { settle: <T>(attempt: () => Promise<T>) => attempt() } },
      { provide: Config, useValue: { passwords: { minLengthCodePoints: 8 } } },
    ],
  }).compile();
  users = module.get(UsersService);
});

async function fieldsRefusedBy(attempt: Promise<unknown>): Promise<string[]> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof ValidationFailedError ? error.errors.map(({ field }) => field) : [];
}

describe('UsersService.register', () => {
  it('stores the canonical e-mail, sorted roles and a hash, and returns the account', async () => {
    const user = await users.register({
      email: 'Grace@Example.COM',
      password: 'cafe\u0301 noir',
      roles: ['writer', 'admin', 'writer'],
    });
    expect(user).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email: 'grace@example.com',
      isEmailVerified: false,
      status: 'active',
      roles: ['admin', 'writer'],
      createdAt: new Date(0),
    });
    expect(repository.inserted).toEqual([
      { id: user.id, email: 'grace@example.com', passwordHash: 'hash 1 of caf\u00e9 noir', roles: ['admin', 'writer'] },
    ]);
  });

  it('names every wrong member at once and has hashed nothing', async () => {
    const attempt = users.register({ email: 'grace', password: 'short', roles: ['No Role'] });
    expect(await fieldsRefusedBy(attempt)).toEqual(['email', 'password', 'roles']);
    expect(await fieldsRefusedBy(users.register({ email: 'grace@example.com', password: 'PASSWORD' }))).toEqual([
      'password',
    ]);
    expect({ hashes: hasher.hashes, inserted: repository.inserted }).toEqual({ hashes: 0, inserted: [] });
  });

  it('counts a well-formed registration against its network before it hashes, and none of an operator', async () => {
    const registration = { email: 'grace@example.com', password: 'nanoseconds of wire' };
    await users.register({ ...registration, applicant: APPLICANT });
    await users.register(registration);
    await fieldsRefusedBy(users.register({ ...registration, password: 'short', applicant: APPLICANT }));
    expect(limits.registrations).toEqual([NETWORKS]);
    limits.isClosed = true;
    await expect(users.register({ ...registration, applicant: APPLICANT })).rejects.toBeInstanceOf(
      TooManyAttemptsError,
    );
    expect({ hashes: hasher.hashes, inserted: repository.inserted.length }).toEqual({ hashes: 2, inserted: 2 });
  });

  it('never repeats a refused value', async () => {
    await expect(users.register({ email: 'gr ace', password: 'sh0rt' })).rejects.toThrow(
      /^must be an e-mail address; must be at least 8 characters long$/,
    );
  });
});

describe('UsersService.verifyCredentials', () => {
  it('returns the account and its credential version for the right password, in any spelling of the e-mail', async () => {
    expect(await users.verifyCredentials('ADA@example.COM', 'analytical engine', APPLICANT)).toEqual({
      user: ADA.user,
      credentialVersion: 3,
    });
  });

  it.each([
    ['a wrong password', 'ada@example.com', 'difference engine'],
    ['an unknown e-mail', 'eve@example.com', 'analytical engine'],
    ['a malformed e-mail', 'ada@example.com\u0000', 'analytical engine'],
    ['an empty e-mail', '', 'analytical engine'],
    ['a password that registration would refuse', 'ada@example.com', ''],
  ])('refuses %s after one look-up and one verification', async (_reason, email, password) => {
    await expect(users.verifyCredentials(email, password, APPLICANT)).rejects.toBeInstanceOf(InvalidCredentialsError);
    expect({ lookUps: repository.lookUps.length, verifications: hasher.verifications, hashes: hasher.hashes }).toEqual({
      lookUps: 1,
      verifications: 1,
      hashes: 0,
    });
  });

  it.each([
    ['a known e-mail in any spelling', 'ADA@Example.com', 'ada@example.com'],
    ['an unknown e-mail', 'Eve@example.com', 'eve@example.com'],
    ['what is no e-mail', 'eve@@', 'eve@@'],
  ])('counts %s as one account, and its password as right or wrong', async (_what, email, account) => {
    await users.verifyCredentials(email, 'difference engine', APPLICANT).catch(() => undefined);
    await users.verifyCredentials(email, 'analytical engine', APPLICANT).catch(() => undefined);
    expect(limits.attempts).toEqual([
      { account, networks: NETWORKS, isCorrect: false },
      { account, networks: NETWORKS, isCorrect: account === ADA.user.email },
    ]);
  });

  it('looks nothing up and hashes nothing while attempts are refused', async () => {
    limits.isClosed = true;
    const attempt = users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT);
    await expect(attempt).rejects.toBeInstanceOf(TooManyAttemptsError);
    expect({ lookUps: repository.lookUps, verifications: hasher.verifications }).toEqual({
      lookUps: [],
      verifications: 0,
    });
  });

  it('neither counts an attempt nor looks anything up while the queue of hashes is full', async () => {
    hasher.isFull = true;
    const attempt = users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT);
    await expect(attempt).rejects.toBeInstanceOf(OverloadedError);
    expect({ attempts: limits.attempts, lookUps: repository.lookUps }).toEqual({ attempts: [], lookUps: [] });
  });

  it('refuses an oversized or malformed password before any work', async () => {
    expect(await fieldsRefusedBy(users.verifyCredentials('ada@example.com', 'x'.repeat(1025), APPLICANT))).toEqual([
      'password',
    ]);
    expect(await fieldsRefusedBy(users.verifyCredentials('eve@example.com', '\ud800', APPLICANT))).toEqual([
      'password',
    ]);
    expect({ lookUps: repository.lookUps, verifications: hasher.verifications }).toEqual({
      lookUps: [],
      verifications: 0,
    });
  });

  it('tells that an account is disabled only after the right password', async () => {
    repository.stored = { ...ADA, user: { ...ADA.user, status: 'disabled' } };
    hasher.isOutdated = true;
    const email = 'ada@example.com';
    await expect(users.verifyCredentials(email, 'wrong', APPLICANT)).rejects.toBeInstanceOf(InvalidCredentialsError);
    await expect(users.verifyCredentials(email, 'analytical engine', APPLICANT)).rejects.toBeInstanceOf(
      AccountDisabledError,
    );
    expect(repository.rehashed).toEqual([]);
  });

  it('renews an outdated hash, over the one it verified', async () => {
    hasher.isOutdated = true;
    await users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT);
    expect(repository.rehashed).toEqual([
      { verifiedHash: 'hash 0 of analytical engine', newHash: 'hash 1 of analytical engine' },
    ]);
  });

  it('lets a login succeed when its hash cannot be renewed', async () => {
    hasher.isOutdated = true;
    repository.rehashFailure = new Error('connection lost');
    expect((await users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT)).user).toEqual(ADA.user);
    hasher.hashFailure = new OverloadedError();
    expect((await users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT)).user).toEqual(ADA.user);
  });

  it('leaves a current hash alone', async () => {
    await users.verifyCredentials('ada@example.com', 'analytical engine', APPLICANT);
    expect({ hashes: hasher.hashes, rehashed: repository.rehashed }).toEqual({ hashes: 0, rehashed: [] });
  });
});

describe('UsersService.prepareNewPassword', () => {
  it('returns the hash it verified and the new one', async () => {
    expect(await users.prepareNewPassword(ADA_IN_SESSION, 'analytical engine', 'jacquard loom', APPLICANT)).toEqual({
      verifiedHash: 'hash 0 of analytical engine',
      newHash: 'hash 1 of jacquard loom',
    });
  });

  it('refuses a wrong current password without hashing the new one', async () => {
    const attempt = users.prepareNewPassword(ADA_IN_SESSION, 'wrong', 'jacquard loom', APPLICANT);
    await expect(attempt).rejects.toBeInstanceOf(InvalidCredentialsError);
    expect({ verifications: hasher.verifications, hashes: hasher.hashes }).toEqual({ verifications: 1, hashes: 0 });
  });

  it('holds the new password to the policy and the current one only to the byte limit', async () => {
    expect(
      await fieldsRefusedBy(users.prepareNewPassword(ADA_IN_SESSION, 'analytical engine', 'password', APPLICANT)),
    ).toEqual(['new_password']);
    expect(
      await fieldsRefusedBy(users.prepareNewPassword(ADA_IN_SESSION, 'x'.repeat(1025), 'jacquard loom', APPLICANT)),
    ).toEqual(['current_password']);
    await expect(users.prepareNewPassword(ADA_IN_SESSION, 'short', 'jacquard loom', APPLICANT)).rejects.toBeInstanceOf(
      InvalidCredentialsError,
    );
  });

  it('counts the current password by the session in which it is asked for', async () => {
    await users.prepareNewPassword(ADA_IN_SESSION, 'wrong', 'jacquard loom', APPLICANT).catch(() => undefined);
    expect(limits.attempts).toEqual([
      { account: 'ada@example.com', networks: NETWORKS, sessionId: SESSION_ID, isCorrect: false },
    ]);
    limits.isClosed = true;
    const attempt = users.prepareNewPassword(ADA_IN_SESSION, 'analytical engine', 'jacquard loom', APPLICANT);
    await expect(attempt).rejects.toBeInstanceOf(TooManyAttemptsError);
    expect({ verifications: hasher.verifications, hashes: hasher.hashes }).toEqual({ verifications: 1, hashes: 0 });
  });

  it('answers for an account that is gone as for a wrong password', async () => {
    const gone = '00000000-0000-4000-8000-000000000000';
    const attempt = users.prepareNewPassword(
      { userId: gone, sessionId: SESSION_ID },
      'analytical engine',
      'jacquard loom',
      APPLICANT,
    );
    await expect(attempt).rejects.toBeInstanceOf(InvalidCredentialsError);
    expect(hasher.verifications).toBe(1);
  });
});

describe('UsersService.setRoles', () => {
  it('tells an operator whether the roles or the account is wrong', async () => {
    expect(await fieldsRefusedBy(users.setRoles(ADA.user.id, ['Admin']))).toEqual(['roles']);
    await expect(users.setRoles(ADA.user.id, ['admin'])).rejects.toBeInstanceOf(NotFoundError);
  });
});

describe('UsersService.findById', () => {
  it('finds no user for a text that is no UUID, without asking the database', async () => {
    expect(await users.findById("' or true --")).toBeUndefined();
    expect(repository.lookUps).toEqual([]);
  });
});
