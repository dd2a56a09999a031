import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import {
  AccountDisabledError,
  type FieldError,
  NotFoundError,
  ValidationFailedError,
} from '../platform/common/domain.errors.js';
import { isCanonicalUuid } from '../platform/common/uuid.js';
import { Config } from '../platform/config/config.js';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { type PasswordAttempt, PasswordAttemptsService } from '../limits/password-attempts.service.js';
import { RegistrationsService } from '../limits/registrations.service.js';
import { CommonPasswordsService } from './common-passwords.service.js';
import { parseEmailAddress } from './email-address.js';
import { PasswordHasherService } from './password-hasher.service.js';
import { checkNewPassword, describeViolation, encodePassword, type PasswordViolation } from './password-policy.js';
import { parseRoleNames } from './role-names.js';
import { InvalidCredentialsError } from './users.errors.js';
import { type StoredCredentials, UsersRepository } from './users.repository.js';
import type {
  Applicant,
  LockedUser,
  PasswordReplacement,
  PreparedPasswordChange,
  PreparedRegistration,
  ProvenUser,
  Registration,
  SecondFactor,
  User,
  UserPage,
  UserStatus,
  VerifiedCredentials,
} from './users.types.js';

/** The e-mail of no account. Looking it up makes a malformed address cost as much as a well-formed one. */
const NO_ADDRESS = '';

/**
 * Keeps accounts and their passwords. It knows nothing of sessions: a caller that changes what a session rests on
 * (password, status, existence) locks the user's row here, and ends the sessions in a later statement of the same
 * transaction.
 */
@Injectable()
export class UsersService {
  private readonly logger = new Logger(UsersService.name);

  constructor(
    private readonly repository: UsersRepository,
    private readonly database: DatabaseService,
    private readonly hasher: PasswordHasherService,
    private readonly commonPasswords: CommonPasswordsService,
    private readonly attempts: PasswordAttemptsService,
    private readonly registrations: RegistrationsService,
    private readonly config: Config,
  ) {}

  /**
   * Makes an account, or changes nothing. A connection that dies around the commit is settled here: the
   * service chose the id, so a retry recognises its own row.
   *
   * @throws ValidationFailedError naming every wrong one of `email`, `password` and `roles`
   * @throws TooManyAttemptsError before anything was hashed
   * @throws EmailTakenError
   * @throws OverloadedError before anything was stored
   */
  async register(registration: Registration): Promise<User> {
    const prepared = await this.prepareRegistration(registration);
    const newUser = { id: randomUUID(), locale: registration.locale, ...prepared };
    const user = await this.database.settle(() => this.repository.insertUser(newUser));
    if (user === undefined) {
      throw new Error('the insertion of a user returned no row');
    }
    return user;
  }

  /**
   * Checks a registration and hashes its password, whether or not the address is free.
   *
   * @param countMore counts against further limits, before anything is hashed
   * @throws ValidationFailedError naming every wrong one of `email`, `password` and `roles`
   * @throws TooManyAttemptsError, OverloadedError before anything was hashed
   */
  async prepareRegistration(
    registration: Registration,
    countMore: (email: string) => Promise<void> = () => Promise.resolve(),
  ): Promise<PreparedRegistration> {
    const email = parseEmailAddress(registration.email);
    const password = await this.checkNewPassword(registration.password);
    const roles = parseRoleNames(registration.roles ?? []);
    if (email === undefined || password.kind === 'refused' || roles === undefined) {
      throw new ValidationFailedError([
        ...(email === undefined ? [INVALID_EMAIL] : []),
        ...(password.kind === 'refused' ? [this.describe('password', password.violation)] : []),
        ...(roles === undefined ? [INVALID_ROLES] : []),
      ]);
    }
    const { applicant } = registration;
    this.hasher.requireRoom(applicant);
    if (applicant !== undefined) {
      await this.registrations.countRegistration(applicant.networks);
    }
    await countMore(email);
    return { email, passwordHash: await this.hasher.hash(password.bytes, applicant), roles };
  }

  /**
   * Makes an account whose mailbox has been proven, in the caller's transaction; the row is locked by it.
   *
   * @throws EmailTakenError the transaction has to be rolled back
   */
  async createProven(transaction: Transaction, user: ProvenUser): Promise<void> {
    await this.repository.insertProvenUser(transaction, user);
  }

  /**
   * Gives an account to the owner of its mailbox, who proves it for the first time: its password is removed, and its tickets
   * die. The caller holds the row by `lockUser`, and ends the sessions.
   */
  async claimByMailbox(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.claimByMailbox(transaction, userId);
  }

  /**
   * Verifies an e-mail and a password. An unknown e-mail, a malformed one and a wrong password cost the same (one
   * look-up, one hash) and get the same answer, so that neither reveals whether an account exists. A right password
   * renews an old hash.
   *
   * @throws InvalidCredentialsError
   * @throws AccountDisabledError only after a correct password
   * @throws ValidationFailedError for a password that no account can have, see `encodePassword`; nothing was hashed
   * @throws TooManyAttemptsError counted per account and per network, whether or not the account exists; nothing was
   *   looked up or hashed
   * @throws OverloadedError
   */
  async verifyCredentials(email: string, password: string, applicant: Applicant): Promise<VerifiedCredentials> {
    const bytes = this.requireEncodable('password', password);
    const address = parseEmailAddress(email);
    const { user, passwordHash, credentialVersion } = await this.requireCorrectPassword(
      { account: address ?? email, networks: applicant.networks },
      applicant,
      bytes,
      () => this.repository.findCredentialsByEmail(address ?? NO_ADDRESS),
    );
    if (this.hasher.needsRehash(passwordHash)) {
      await this.tryToRehash(user.id, passwordHash, bytes, applicant);
    }
    return { user, credentialVersion };
  }

  /**
   * Verifies the password of a user who is signed in, as the first half of a password change does.
   *
   * @returns the version that the locked row must still have when the caller acts upon it
   * @throws ValidationFailedError, InvalidCredentialsError, AccountDisabledError, TooManyAttemptsError, OverloadedError
   */
  async verifyOwnPassword(
    identity: { readonly userId: string; readonly sessionId: string },
    password: string,
    applicant: Applicant,
  ): Promise<Pick<VerifiedCredentials, 'credentialVersion'>> {
    const bytes = this.requireEncodable('password', password);
    const { credentialVersion } = await this.requireOwnPassword(identity, bytes, applicant);
    return { credentialVersion };
  }

  /**
   * Runs the first half of a password change, outside a transaction because it hashes twice.
   *
   * @throws ValidationFailedError naming `current_password` or `new_password`; nothing was hashed
   * @throws InvalidCredentialsError also when the account is gone
   * @throws TooManyAttemptsError counted per network like the logins, but by session and not by account: an attack on
   *   the account must not keep its owner from changing the password
   * @throws AccountDisabledError only after a correct password
   * @throws OverloadedError
   */
  async prepareNewPassword(
    identity: { readonly userId: string; readonly sessionId: string },
    currentPassword: string,
    newPassword: string,
    applicant: Applicant,
  ): Promise<PreparedPasswordChange> {
    const currentBytes = this.requireEncodable('current_password', currentPassword);
    const newBytes = await this.requireAcceptable('new_password', newPassword);
    const { passwordHash } = await this.requireOwnPassword(identity, currentBytes, applicant);
    return { verifiedHash: passwordHash, newHash: await this.hasher.hash(newBytes, applicant) };
  }

  /**
   * Runs the second half: writes only over the hash that the first half verified, and counts the credential version up.
   * May be retried with the same arguments while an outcome is unknown. The caller holds the row by `lockUser`.
   */
  async replacePasswordHash(
    transaction: Transaction,
    userId: string,
    verifiedHash: string,
    newHash: string,
  ): Promise<PasswordReplacement> {
    return this.repository.replacePasswordHash(transaction, userId, { verifiedHash, newHash });
  }

  /**
   * Checks and hashes a password that is set without the current one: by an operator (`setPassword`), or by an applicant
   * who has proved the mailbox (`resetPassword`).
   *
   * @returns PHC string
   * @throws ValidationFailedError naming `field`
   * @throws OverloadedError
   */
  async hashNewPassword(
    password: string,
    { field = 'password', applicant }: { readonly field?: string; readonly applicant?: Applicant } = {},
  ): Promise<string> {
    return this.hasher.hash(await this.requireAcceptable(field, password), applicant);
  }

  /**
   * Replaces any password. May be retried with the same hash while an outcome is unknown. The caller holds the row by
   * `lockUser`, and ends the sessions.
   *
   * @returns false when there is no such account
   */
  async setPassword(transaction: Transaction, userId: string, newHash: string): Promise<boolean> {
    return this.repository.setPasswordHash(transaction, userId, newHash);
  }

  /** Does what the method of the repository does. The caller holds the row by `lockUser`, and ends the sessions. */
  async resetPassword(
    transaction: Transaction,
    userId: string,
    newHash: string,
    proof: { readonly isEmailProven: boolean },
  ): Promise<void> {
    await this.repository.resetPassword(transaction, userId, newHash, proof);
  }

  /**
   * Replaces the address by one that the user has proved. The caller holds the row by `lockUser`, and ends the sessions.
   *
   * @param email canonical
   * @throws EmailTakenError the transaction has to be rolled back
   */
  async changeEmail(transaction: Transaction, userId: string, email: string): Promise<void> {
    await this.repository.changeEmail(transaction, userId, email);
  }

  /**
   * Takes a change of the address back, and removes the password, which an intruder may have set or known. Another account
   * that has the address by now keeps it. The caller holds the row by `lockUser`, and ends the sessions.
   *
   * @param email canonical
   * @returns the credential version, for a ticket that sets a new password
   * @throws EmailTakenError if another account takes the address at the same time: the transaction has to be rolled back,
   *   and the next one leaves the address there
   */
  async restoreEmail(transaction: Transaction, userId: string, email: string): Promise<number> {
    return this.repository.restoreEmail(transaction, userId, email);
  }

  /**
   * Records which kinds of second factors the user has from now on; their tickets die. The caller holds the row by
   * `lockUser`, and changes the factors themselves in the same transaction.
   *
   * @param kinds without duplicates
   */
  async setSecondFactors(transaction: Transaction, userId: string, kinds: readonly SecondFactor[]): Promise<void> {
    await this.repository.setSecondFactors(transaction, userId, kinds);
  }

  /** Records that the user has proved the address of the account. */
  async verifyEmail(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.verifyEmail(transaction, userId);
  }

  /**
   * Locks the user's row (`for no key update`) until the transaction ends. Everything that makes or ends sessions of a
   * user calls it **first**: with one lock order there is no deadlock, and a login that verified the old password
   * either commits its session before a password change looks for sessions to end, or sees the new credential version.
   *
   * Act on sessions in a later statement: the snapshot of a statement that waits for the lock predates the wait.
   *
   * @returns the row as it is under the lock; undefined when there is no such account
   */
  async lockUser(transaction: Transaction, userId: string): Promise<LockedUser | undefined> {
    return isCanonicalUuid(userId) ? this.repository.lockUserById(transaction, userId) : undefined;
  }

  /**
   * Enables or disables a user. The caller holds the row by `lockUser`, and ends the sessions of a user who is
   * disabled.
   *
   * @returns false when there is no such account
   */
  async setStatus(transaction: Transaction, userId: string, status: UserStatus): Promise<boolean> {
    return this.repository.setUserStatus(transaction, userId, status);
  }

  /**
   * Replaces all roles. Tokens carry the new ones from the next refresh on.
   *
   * @throws ValidationFailedError naming `roles`
   * @throws NotFoundError when there is no such user
   */
  async setRoles(userId: string, roles: readonly string[]): Promise<User> {
    const parsed = parseRoleNames(roles);
    if (parsed === undefined) {
      throw new ValidationFailedError([INVALID_ROLES]);
    }
    const user = isCanonicalUuid(userId)
      ? await this.database.settle(() => this.repository.setUserRoles(userId, parsed))
      : undefined;
    if (user === undefined) {
      throw new NotFoundError('no such user');
    }
    return user;
  }

  /**
   * Deletes a user. The caller holds the row by `lockUser` and has ended the sessions in this transaction, because
   * access tokens are refused for an ended session, not for a missing user.
   *
   * @returns false when there is no such account
   */
  async deleteUser(transaction: Transaction, userId: string): Promise<boolean> {
    return this.repository.deleteUserById(transaction, userId);
  }

  /**
   * Returns the canonical form of an address.
   *
   * @throws ValidationFailedError naming `field`
   */
  requireEmail(field: string, email: string): string {
    const address = parseEmailAddress(email);
    if (address === undefined) {
      throw new ValidationFailedError([{ ...INVALID_EMAIL, field }]);
    }
    return address;
  }

  /**
   * Finds an account as `lockUser` does, and locks nothing.
   *
   * @param email canonical, see `requireEmail`
   */
  async findAccount(email: string): Promise<LockedUser | undefined> {
    return this.repository.findAccountByEmail(email);
  }

  async findById(userId: string): Promise<User | undefined> {
    return isCanonicalUuid(userId) ? this.repository.findUserById(userId) : undefined;
  }

  async findByEmail(email: string): Promise<User | undefined> {
    const address = parseEmailAddress(email);
    return address === undefined ? undefined : this.repository.findUserByEmail(address);
  }

  /** Lists users in the order of their e-mails. The last e-mail of a page is the `after` of the next. */
  async list(page: UserPage): Promise<readonly User[]> {
    const { emailPrefix } = page;
    return this.repository.listUsersByEmail(
      emailPrefix === undefined ? page : { ...page, emailPrefix: emailPrefix.toLowerCase() },
    );
  }

  /** Verifies the password of a session's user: counted by session, see `prepareNewPassword`. */
  private async requireOwnPassword(
    { userId, sessionId }: { readonly userId: string; readonly sessionId: string },
    password: Buffer,
    applicant: Applicant,
  ): ReturnType<UsersService['requireCorrectPassword']> {
    const stored = isCanonicalUuid(userId) ? await this.repository.findCredentialsById(userId) : undefined;
    return this.requireCorrectPassword(
      { account: stored?.user.email ?? userId, networks: applicant.networks, sessionId },
      applicant,
      password,
      () => Promise.resolve(stored),
    );
  }

  /** Verifies every password, so that each attempt is counted. */
  private async requireCorrectPassword(
    attempt: PasswordAttempt,
    applicant: Applicant,
    password: Buffer,
    lookUp: () => Promise<StoredCredentials | undefined>,
  ): Promise<StoredCredentials & { readonly passwordHash: string }> {
    // Refuses before counting and looking up, so that a refusal costs no query.
    this.hasher.requireRoom(applicant);
    let stored: StoredCredentials | undefined;
    const isCorrect = await this.attempts.countAttempt(attempt, async () => {
      stored = await lookUp();
      return this.hasher.verify(stored?.passwordHash, password, applicant);
    });
    if (stored?.passwordHash === undefined || !isCorrect) {
      throw new InvalidCredentialsError(stored === undefined ? 'no such account' : 'wrong password, or none is set');
    }
    if (stored.user.status === 'disabled') {
      throw new AccountDisabledError();
    }
    return { ...stored, passwordHash: stored.passwordHash };
  }

  /** A failure is logged without its message and parameters, which may hold a hash; the login has succeeded anyway. */
  private async tryToRehash(
    userId: string,
    verifiedHash: string,
    password: Buffer,
    applicant: Applicant,
  ): Promise<void> {
    try {
      await this.repository.rehashPassword(userId, {
        verifiedHash,
        newHash: await this.hasher.hash(password, applicant),
      });
    } catch (error) {
      this.logger.warn(`could not rehash the password of user ${userId}: ${error instanceof Error ? error.name : ''}`);
    }
  }

  private requireEncodable(field: string, password: string): Buffer {
    const encoded = encodePassword(password);
    if (encoded.kind === 'refused') {
      throw new ValidationFailedError([this.describe(field, encoded.violation)]);
    }
    return encoded.bytes;
  }

  private async requireAcceptable(field: string, password: string): Promise<Buffer> {
    const checked = await this.checkNewPassword(password);
    if (checked.kind === 'refused') {
      throw new ValidationFailedError([this.describe(field, checked.violation)]);
    }
    return checked.bytes;
  }

  private async checkNewPassword(password: string): Promise<ReturnType<typeof checkNewPassword>> {
    return checkNewPassword(password, {
      minLengthCodePoints: this.config.passwords.minLengthCodePoints,
      commonPasswords: await this.commonPasswords.load(),
    });
  }

  private describe(field: string, violation: PasswordViolation): FieldError {
    return { field, message: describeViolation(violation, this.config.passwords.minLengthCodePoints) };
  }
}

const INVALID_EMAIL: FieldError = { field: 'email', message: 'must be an e-mail address' };

const INVALID_ROLES: FieldError = {
  field: 'roles',
  message:
    'must be at most 32 names of 1 to 64 characters out of a-z, 0-9, "_", ".", ":" and "-", with at most 1,024 ' +
    'characters together, including a space between two',
};
