import { randomBytes, randomUUID } from 'node:crypto';
import {
  type DatabaseService,
  encodePassword,
  isUniqueViolation,
  parseEmailAddress,
  parseRoleNames,
  type PasswordHasherService,
} from '@ratchet/server/internal';
import type { TotpAnswer, UserAnswer, UserBody } from '../contract.js';
import type { AuthenticatorApps } from './authenticator-apps.mjs';
import { type FieldError, TestProblem, validationFailed } from './problems.mjs';

/** What users have who are given none: one hash serves them all. */
const PASSWORD = 'a password of the test kit';

const MOST_HASHES = 1_000;

/** Makes the users of one namespace. */
export class Users {
  private readonly hashes = new Map<string, Promise<string>>();

  constructor(
    private readonly database: DatabaseService,
    private readonly hasher: PasswordHasherService,
    private readonly apps: AuthenticatorApps,
  ) {}

  /**
   * Makes all of them or none.
   *
   * @throws TestProblem
   */
  async make(requests: readonly UserBody[]): Promise<readonly UserAnswer[]> {
    const errors: FieldError[] = [];
    const users = requests.map((request, index) => {
      const { email = `user-${randomBytes(6).toString('hex')}@example.com`, password = PASSWORD } = request;
      const address = parseEmailAddress(email);
      const roles = parseRoleNames(request.roles ?? []);
      const encoded = encodePassword(password);
      if (address === undefined) {
        errors.push({ field: `${index}.email`, message: 'must be an e-mail address' });
      }
      if (roles === undefined) {
        errors.push({
          field: `${index}.roles`,
          message: 'must be at most 32 names of 1 to 64 characters out of a-z, 0-9, "_", ".", ":" and "-"',
        });
      }
      if (encoded.kind === 'refused') {
        errors.push({ field: `${index}.password`, message: 'must be Unicode text of at most 1024 bytes' });
      }
      const bytes = encoded.kind === 'encoded' ? encoded.bytes : Buffer.alloc(0);
      const status = request.status ?? 'active';
      const hasTotp = request.totp ?? false;
      return { id: randomUUID(), email: address ?? '', password, bytes, roles: roles ?? [], status, hasTotp };
    });
    if (errors.length > 0) {
      throw validationFailed(errors);
    }
    const hashes = await Promise.all(users.map(({ bytes }) => this.hash(bytes)));
    const totpOf = new Map<string, TotpAnswer>();
    try {
      await this.database.transaction(async (transaction) => {
        await transaction.query(
          `insert into users (id, email, password_hash, status, roles)
         select id, email, password_hash, status, string_to_array(roles, ' ')
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
           as made (id, email, password_hash, status, roles)`,
          [
            users.map(({ id }) => id),
            users.map(({ email }) => email),
            hashes,
            users.map(({ status }) => status),
            users.map(({ roles }) => roles.join(' ')),
          ],
        );
        for (const user of users.filter(({ hasTotp }) => hasTotp)) {
          totpOf.set(user.id, await this.apps.add(transaction, user));
        }
      });
    } catch (error) {
      if (isUniqueViolation(error, 'users_email_key')) {
        throw new TestProblem(
          409,
          'email_taken',
          'There is a user with one of these e-mail addresses already; leave the address out, or reset before.',
        );
      }
      throw error;
    }
    return users.map(({ id, email, password, roles, status }) => {
      const totp = totpOf.get(id);
      return { id, email, password, roles, status, ...(totp !== undefined && { totp }) };
    });
  }

  private hash(password: Buffer): Promise<string> {
    const key = password.toString('base64');
    const known = this.hashes.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.hashes.size >= MOST_HASHES) {
      this.hashes.clear();
    }
    const hashed = this.hasher.hash(password);
    this.hashes.set(key, hashed);
    hashed.catch(() => this.hashes.delete(key));
    return hashed;
  }
}
