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

  /** Records on the account that it has the factor. */
  async give(database: Pick<TestDatabase, 'sql'>, { id }: Pick<Account, 'id'>): Promise<void> {
    await database.sql(`update users set second_factors = '{totp}' where id = $1`, [id]);
  }
}
