import { Injectable } from '@nestjs/common';
import { isUniqueViolation } from '../platform/database/database.errors.js';
import { DatabaseService, type PreparedStatement, type Transaction } from '../platform/database/database.service.js';
import { EmailTakenError } from './users.errors.js';
import type {
  LockedUser,
  PasswordReplacement,
  PreparedPasswordChange,
  ProvenUser,
  SecondFactor,
  User,
  UserPage,
  UserStatus,
} from './users.types.js';

export interface StoredCredentials {
  readonly user: User;
  /** PHC string; undefined while the account has no password. */
  readonly passwordHash: string | undefined;
  readonly credentialVersion: number;
}

export interface NewUser {
  readonly id: string;
  readonly email: string;
  readonly passwordHash: string;
  readonly roles: readonly string[];
  readonly locale?: string | undefined;
}

/** The column of each member of `User`: a member without one does not compile. */
const COLUMN_OF: Readonly<Record<keyof User, string>> = {
  id: 'id',
  email: 'email',
  isEmailVerified: 'email_verified_at is not null',
  status: 'status',
  roles: 'roles',
  createdAt: 'created_at',
};

const USER_COLUMNS = Object.entries(COLUMN_OF)
  .map(([member, column]) => `${column} as "${member}"`)
  .join(', ');

const FIND_CREDENTIALS = `
  select ${USER_COLUMNS}, password_hash as "passwordHash", credential_version as "credentialVersion" from users`;

const FIND_CREDENTIALS_BY_EMAIL: PreparedStatement = {
  name: 'find_credentials_by_email',
  text: `${FIND_CREDENTIALS} where email = $1`,
};

const FIND_CREDENTIALS_BY_ID: PreparedStatement = {
  name: 'find_credentials_by_id',
  text: `${FIND_CREDENTIALS} where id = $1`,
};

const FIND_ACCOUNT = `
  select id, email, email_verified_at is not null as "isEmailVerified", status, roles,
    credential_version as "credentialVersion", locale, second_factors as "secondFactors"
  from users`;

const LOCK_USER: PreparedStatement = {
  name: 'lock_user',
  text: `${FIND_ACCOUNT} where id = $1 for no key update`,
};

const FIND_ACCOUNT_BY_EMAIL: PreparedStatement = {
  name: 'find_account_by_email',
  text: `${FIND_ACCOUNT} where email = $1`,
};

/** The only place with statements on `users`. Callers pass canonical e-mails, and UUIDs as ids. */
@Injectable()
export class UsersRepository {
  constructor(private readonly database: DatabaseService) {}

  async findUserById(userId: string): Promise<User | undefined> {
    const [user] = await this.database.query<User>(`select ${USER_COLUMNS} from users where id = $1`, [userId]);
    return user;
  }

  async findUserByEmail(email: string): Promise<User | undefined> {
    const [user] = await this.database.query<User>(`select ${USER_COLUMNS} from users where email = $1`, [email]);
    return user;
  }

  async findCredentialsByEmail(email: string): Promise<StoredCredentials | undefined> {
    return this.findCredentials(FIND_CREDENTIALS_BY_EMAIL, email);
  }

  async findCredentialsById(userId: string): Promise<StoredCredentials | undefined> {
    return this.findCredentials(FIND_CREDENTIALS_BY_ID, userId);
  }

  /** Keyset paging on the unique e-mail: neither skips nor repeats a user who was there throughout. */
  async listUsersByEmail(page: UserPage): Promise<User[]> {
    return this.database.query<User>(
      `select ${USER_COLUMNS}
       from users
       where ($2::text is null or email > $2) and ($3::text is null or starts_with(email, $3))
       order by email
       limit $1`,
      [page.limit, page.after ?? null, page.emailPrefix ?? null],
    );
  }

  /**
   * Inserts a user; a retry with the same id makes no second row. The arbiter is the primary key alone: a retry finds
   * its own row (after waiting for a first attempt that is still committing) and overwrites the hash with itself to
   * return the row, whereas the e-mail of another row still violates `users_email_key`. A user without roles is
   * inserted without naming the column, because the database role that serves may not write it.
   *
   * @throws EmailTakenError
   */
  async insertUser(user: NewUser): Promise<User | undefined> {
    const hasRoles = user.roles.length > 0;
    const [inserted] = await refuseTakenEmail(
      this.database.query<User>(
        `insert into users (id, email, password_hash, locale${hasRoles ? ', roles' : ''})
         values ($1, $2, $3, $4${hasRoles ? ', $5' : ''})
         on conflict (id) do update set password_hash = users.password_hash
         returning ${USER_COLUMNS}`,
        [user.id, user.email, user.passwordHash, user.locale ?? null, ...(hasRoles ? [user.roles] : [])],
      ),
    );
    return inserted;
  }

  /** @throws EmailTakenError the transaction has to be rolled back */
  async insertProvenUser(transaction: Transaction, user: ProvenUser): Promise<void> {
    await refuseTakenEmail(
      transaction.query(
        `insert into users (id, email, password_hash, email_verified_at, locale)
         values ($1, $2, $3, clock_timestamp(), $4)`,
        [user.id, user.email, user.passwordHash, user.locale ?? null],
      ),
    );
  }

  /** Records the proof of the address, removes the password, and counts the credential version up. */
  async claimByMailbox(transaction: Transaction, userId: string): Promise<void> {
    await transaction.query(
      `update users
       set password_hash = null, credential_version = credential_version + 1, email_verified_at = clock_timestamp()
       where id = $1`,
      [userId],
    );
  }

  /**
   * Stores the same password under newer parameters. Writes only over the hash that was verified, so that it never
   * undoes a concurrent password change, and keeps the credential version, because the password is the same.
   */
  async rehashPassword(userId: string, { verifiedHash, newHash }: PreparedPasswordChange): Promise<void> {
    await this.database.query(
      `update users
       set password_hash = $3
       where id = $1 and password_hash = $2`,
      [userId, verifiedHash, newHash],
    );
  }

  /**
   * Makes every other transaction that is about to create or end this user's sessions wait for this one. `no key
   * update` rather than `update`, because the key never changes and a foreign key's share lock need not wait.
   */
  async lockUserById(transaction: Transaction, userId: string): Promise<LockedUser | undefined> {
    const [locked] = await transaction.queryPrepared<AccountRow>(LOCK_USER, [userId]);
    return locked && { ...locked, locale: locked.locale ?? undefined };
  }

  /** Finds what `lockUserById` does, and locks nothing. */
  async findAccountByEmail(email: string): Promise<LockedUser | undefined> {
    const [found] = await this.database.queryPrepared<AccountRow>(FIND_ACCOUNT_BY_EMAIL, [email]);
    return found && { ...found, locale: found.locale ?? undefined };
  }

  /**
   * Writes the new hash only over the one that was verified. A row that has the new hash already comes from an earlier
   * attempt whose answer was lost: it matches too, and its credential version stays.
   */
  async replacePasswordHash(
    transaction: Transaction,
    userId: string,
    { verifiedHash, newHash }: PreparedPasswordChange,
  ): Promise<PasswordReplacement> {
    const replaced = await transaction.query(
      `update users
       set password_hash = $3, credential_version = credential_version + (password_hash = $2)::integer
       where id = $1 and password_hash in ($2, $3)
       returning id`,
      [userId, verifiedHash, newHash],
    );
    return replaced.length === 1 ? 'replaced' : 'superseded';
  }

  /** Overwrites any hash. A retry with the same hash does not count the credential version up again. */
  async setPasswordHash(transaction: Transaction, userId: string, newHash: string): Promise<boolean> {
    const changed = await transaction.query(
      `update users
       set password_hash = $2, credential_version = credential_version + (password_hash is distinct from $2)::integer
       where id = $1
       returning id`,
      [userId, newHash],
    );
    return changed.length === 1;
  }

  /**
   * Replaces the password of a user who has lost it, and counts the credential version up. An address that the user has
   * proved with this counts as proven from now on, unless it was before.
   */
  async resetPassword(
    transaction: Transaction,
    userId: string,
    newHash: string,
    { isEmailProven }: { readonly isEmailProven: boolean },
  ): Promise<void> {
    await transaction.query(
      `update users
       set password_hash = $2, credential_version = credential_version + 1,
         email_verified_at = case when $3 then coalesce(email_verified_at, clock_timestamp()) else email_verified_at end
       where id = $1`,
      [userId, newHash, isEmailProven],
    );
  }

  /**
   * Replaces the address by one that its user has just proved, and counts the credential version up.
   *
   * @throws EmailTakenError the transaction has to be rolled back
   */
  async changeEmail(transaction: Transaction, userId: string, email: string): Promise<void> {
    await refuseTakenEmail(
      transaction.query(
        `update users
         set email = $2, credential_version = credential_version + 1, email_verified_at = clock_timestamp()
         where id = $1`,
        [userId, email],
      ),
    );
  }

  /**
   * Removes the password, counts the credential version up, and gives the user back an address that they have just proved,
   * unless another account has it by now.
   *
   * @returns the credential version
   * @throws EmailTakenError if another account takes the address at the same time: the transaction has to be rolled back,
   *   and the next one sees that
   */
  async restoreEmail(transaction: Transaction, userId: string, email: string): Promise<number> {
    const [restored] = await refuseTakenEmail(
      transaction.query<{ readonly credentialVersion: number }>(
        `update users
         set password_hash = null, credential_version = credential_version + 1,
           email = case when is_taken then email else $2 end,
           email_verified_at = case when is_taken then email_verified_at else clock_timestamp() end
         from (select exists (select from users where email = $2 and id <> $1) as is_taken) as seen
         where id = $1
         returning credential_version as "credentialVersion"`,
        [userId, email],
      ),
    );
    if (restored === undefined) {
      throw new Error('the update of a locked user returned no row');
    }
    return restored.credentialVersion;
  }

  /** Records which kinds of second factors the user has, and counts the credential version up. */
  async setSecondFactors(transaction: Transaction, userId: string, kinds: readonly SecondFactor[]): Promise<void> {
    await transaction.query(
      `update users
       set second_factors = $2, credential_version = credential_version + 1
       where id = $1`,
      [userId, kinds],
    );
  }

  /** Records that the user has proved the address, unless that is recorded already. */
  async verifyEmail(transaction: Transaction, userId: string): Promise<void> {
    await transaction.query(
      `update users
       set email_verified_at = clock_timestamp()
       where id = $1 and email_verified_at is null`,
      [userId],
    );
  }

  /** Disabling counts the credential version up, which kills all tickets of the user; a retry does not. */
  async setUserStatus(transaction: Transaction, userId: string, status: UserStatus): Promise<boolean> {
    const changed = await transaction.query(
      `update users
       set status = $2,
         credential_version = credential_version + (status <> 'disabled' and $2 = 'disabled')::integer
       where id = $1
       returning id`,
      [userId, status],
    );
    return changed.length === 1;
  }

  /** Replaces the roles. Needs no lock order, because it ends no session; tokens get the roles at the next refresh. */
  async setUserRoles(userId: string, roles: readonly string[]): Promise<User | undefined> {
    const [changed] = await this.database.query<User>(
      `update users set roles = $2 where id = $1 returning ${USER_COLUMNS}`,
      [userId, roles],
    );
    return changed;
  }

  async deleteUserById(transaction: Transaction, userId: string): Promise<boolean> {
    const deleted = await transaction.query('delete from users where id = $1 returning id', [userId]);
    return deleted.length === 1;
  }

  private async findCredentials(statement: PreparedStatement, key: string): Promise<StoredCredentials | undefined> {
    const [row] = await this.database.queryPrepared<CredentialsRow>(statement, [key]);
    if (row === undefined) {
      return undefined;
    }
    const { passwordHash, credentialVersion, ...user } = row;
    return { user, passwordHash: passwordHash ?? undefined, credentialVersion };
  }
}

interface CredentialsRow extends User {
  readonly passwordHash: string | null;
  readonly credentialVersion: number;
}

interface AccountRow extends Omit<LockedUser, 'locale'> {
  readonly locale: string | null;
}

async function refuseTakenEmail<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    throw isUniqueViolation(error, 'users_email_key') ? new EmailTakenError('', { cause: error }) : error;
  }
}
