import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../platform/database/database.service.js';
import { FactorSecretsVault } from './factor-secrets.vault.js';
import type { FactorReencryption } from './factors.types.js';
import { TotpFactorsRepository } from './totp-factors.repository.js';

const BATCH_SIZE = 500;

const LOWEST_ID = '00000000-0000-0000-0000-000000000000';

/** Brings the secrets of authenticator apps under the current `AUTH_SECRET`, whether or not second factors are on now. */
@Injectable()
export class FactorReencryptionService {
  constructor(
    private readonly repository: TotpFactorsRepository,
    private readonly vault: FactorSecretsVault,
    private readonly database: DatabaseService,
  ) {}

  /**
   * Encrypts under the current secret every factor that is encrypted under another one, each in a statement of its own, while
   * services run. One that no configured secret decrypts stays as it is, and does not hold up the others.
   */
  async reencrypt(): Promise<FactorReencryption> {
    let [changedCount, unreadableCount, afterId] = [0, 0, LOWEST_ID];
    for (;;) {
      const others = await this.repository.findUnderOtherKeys(this.database, {
        keyId: this.vault.currentKeyId,
        afterId,
        limit: BATCH_SIZE,
      });
      for (const factor of others) {
        const secret = this.vault.tryToOpen(factor);
        if (secret === undefined) {
          unreadableCount += 1;
        } else if (await this.repository.replaceSecret(this.database, factor, this.vault.seal(secret, factor))) {
          changedCount += 1;
        }
        afterId = factor.id;
      }
      if (others.length < BATCH_SIZE) {
        return { changedCount, unreadableCount, totalCount: await this.repository.count(this.database) };
      }
    }
  }
}
