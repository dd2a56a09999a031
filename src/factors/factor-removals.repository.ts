import { Injectable } from '@nestjs/common';
import type { PreparedStatement, Transaction } from '../platform/database/database.service.js';
import type { FactorKind } from './factor-removals.types.js';

/**
 * Removes what a user can prove a second factor with, all of it or what has been added since an instant: an authenticator
 * app counts from its confirmation, and a secret that is not confirmed goes in any case. The recovery codes go with those that are as new, and with the last factor.
 *
 * $1 user id, $2 instant or null for all
 */
const REMOVE_FACTORS: PreparedStatement = {
  name: 'remove_factors',
  text: `
    with kept_totp as materialized (
      select 'totp' as kind, 1 as nth from totp_factors where user_id = $1 and confirmed_at < $2
    ),
    kept_passkeys as materialized (
      select distinct 'passkey' as kind, 2 as nth from passkeys where user_id = $1 and created_at < $2
    ),
    kept as materialized (
      select * from kept_totp union all select * from kept_passkeys
    ),
    without_totp as (
      delete from totp_factors where user_id = $1 and (confirmed_at < $2) is not true
    ),
    without_passkeys as (
      delete from passkeys where user_id = $1 and (created_at < $2) is not true
    ),
    without_codes as (
      delete from recovery_codes
      where user_id = $1 and ((created_at < $2) is not true or not exists (select from kept))
    )
    select array(select kind from kept order by nth) as kept`,
};

@Injectable()
export class FactorRemovalsRepository {
  /** @returns the kinds that the user still has */
  async removeFactors(transaction: Transaction, userId: string, since: Date | undefined): Promise<FactorKind[]> {
    const [row] = await transaction.queryPrepared<{ readonly kept: FactorKind[] }>(REMOVE_FACTORS, [
      userId,
      since ?? null,
    ]);
    return row?.kept ?? [];
  }
}
