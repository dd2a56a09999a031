import { createHmac } from 'node:crypto';
import type {
  DatabaseService,
  FactorSecretsVault,
  RecoveryCodesService,
  StoredTotp,
  TotpFactorsService,
  Transaction,
  UsersService,
} from '@ratchet/server/internal';
import type { TotpAnswer } from '../contract.js';
import { TestProblem } from './problems.mjs';

const STEP_SECONDS = 30;

interface Services {
  readonly users: UsersService;
  readonly totpFactors: TotpFactorsService;
  readonly recoveryCodes: RecoveryCodesService;
  readonly vault: FactorSecretsVault;
}

/** Gives the users of one namespace authenticator apps, and shows what these show. */
export class AuthenticatorApps {
  /** @param services undefined where second factors are off */
  constructor(
    private readonly database: DatabaseService,
    private readonly services: Services | undefined,
  ) {}

  /**
   * Gives a user an app whose secret is confirmed, and recovery codes.
   *
   * @throws TestProblem where second factors are off
   */
  async add(transaction: Transaction, user: { readonly id: string; readonly email: string }): Promise<TotpAnswer> {
    const { users, totpFactors, recoveryCodes } = this.required();
    const stored = totpFactors.newSecret(user.id);
    const { secret } = await totpFactors.begin(transaction, stored, user.email);
    await transaction.query('update totp_factors set confirmed_at = clock_timestamp() where id = $1', [stored.id]);
    const codes = recoveryCodes.newCodes();
    await recoveryCodes.replace(transaction, user.id, codes);
    await users.setSecondFactors(transaction, user.id, ['totp']);
    return { secret, recovery_codes: codes };
  }

  /**
   * Returns the code of now, which the service accepts even if it has been used: a test need not wait half a minute for the
   * next. A secret that waits for its first code goes before the one that it is to replace.
   *
   * @throws TestProblem for a user without an app
   */
  async code(userId: string): Promise<string> {
    const { vault } = this.required();
    const [found] = await this.database.query<StoredTotp & { readonly nowSeconds: number }>(
      `update totp_factors set last_step = 0
       where id = (select id from totp_factors where user_id = $1 order by confirmed_at desc nulls first limit 1)
       returning id, user_id as "userId", secret_encrypted as "secretEncrypted", encryption_key_id as "encryptionKeyId",
         extract(epoch from clock_timestamp())::float8 as "nowSeconds"`,
      [userId],
    );
    if (found === undefined) {
      throw new TestProblem(
        404,
        'totp_unknown',
        'The namespace has no user of this id with an authenticator app; make one with "totp": true, after the last reset.',
      );
    }
    return codeAt(vault.open(found), found.nowSeconds);
  }

  private required(): Services {
    if (this.services === undefined) {
      throw new TestProblem(
        409,
        'second_factors_off',
        'SECOND_FACTORS of this namespace is off; make it without this setting.',
      );
    }
    return this.services;
  }
}

/** RFC 6238 as authenticator apps have it: SHA-1, 30 seconds, six digits. */
function codeAt(secret: Buffer, nowSeconds: number): string {
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(nowSeconds / STEP_SECONDS)));
  const mac = createHmac('sha1', secret).update(step).digest();
  const truncated = mac.readUInt32BE(mac.readUInt8(mac.length - 1) & 0x0f) & 0x7fffffff;
  return String(truncated % 1_000_000).padStart(6, '0');
}
