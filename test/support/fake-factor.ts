import { FactorProofsService } from '../../src/auth/factors/factor-proofs.service.js';
import type { Account } from './test-client.js';
import type { TestDatabase } from './test-database.js';
import type { TestService } from './test-service.js';

/** The one code that the fake authenticator app takes. */
export const RIGHT_CODE = '123456';
export const WRONG_CODE = '654321';

/** Gives an account a factor whose code is always the same, and counts how often one was judged and used up. */
export class FakeFactor {
  judged = 0;
  accepted = 0;

  /** @param services whose verifier of codes is replaced */
  constructor(...services: readonly Pick<TestService, 'app'>[]) {
    for (const { app } of services) {
      app.get(FactorProofsService).verifyBy('totp', {
        prepare: ({ code }) =>
          Promise.resolve({
            judge: () => {
              this.judged += 1;
              const accept = (): Promise<void> => {
                this.accepted += 1;
                return Promise.resolve();
              };
              return Promise.resolve({ isProven: code === RIGHT_CODE, methods: ['otp', 'mfa'], accept });
            },
          }),
      });
    }
  }

  /** Gives the account the factor, ten recovery codes, and the credential version that comes with them. */
  async give(database: Pick<TestDatabase, 'sql'>, { id }: Pick<Account, 'id'>): Promise<void> {
    await database.sql(
      `with factor as (
         insert into totp_factors (user_id, id, secret_encrypted, encryption_key_id, confirmed_at, created_at)
         select $1, gen_random_uuid(), '', 0, at, at from clock_timestamp() as at
       ), codes as (
         insert into recovery_codes (user_id, code_hash, created_at)
         select $1, decode(lpad(number::text, 2, '0'), 'hex'), clock_timestamp() from generate_series(1, 10) as number
       )
       update users set second_factors = '{totp}', credential_version = credential_version + 1 where id = $1`,
      [id],
    );
  }
}
