import type { PreparedStatement } from '../platform/database/database.service.js';
import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { NOTIFY_REVOCATION, revocation } from './revocation.fragments.js';

export interface OpeningRow {
  readonly evicted_ids: string[];
  readonly now_seconds: number;
  readonly rotated_at_seconds: number;
  readonly expires_at_seconds: number;
  readonly authenticated_at_seconds: number;
}

/**
 * Opens a family and ends as many of the user's least recently rotated ones as have to make room for it. Those end at
 * the instant at which it begins, not later. If an earlier attempt of unknown outcome has opened this family, it changes
 * nothing, and returns the sessions that the limit has ended lately, those of that attempt among them. The caller's lock
 * on the user's row keeps the number of live families from changing meanwhile.
 *
 * $1 family id, $2 user id, $3 secret hash, $4 key id, $5 seconds to live, $6 address, $7 user agent, $8 idle seconds,
 * $9 how many live families may stay, $10 authentication methods
 */
export const OPEN_FAMILY: PreparedStatement = {
  name: 'open_family',
  text: `
    with existing as materialized (
      select created_at, rotated_at, expires_at from refresh_token_families where id = $1
    ),
    now as materialized (
      select clock_timestamp() as at
    ),
    evicted as (
      update refresh_token_families
      set ${revocation("'session_limit'", '(select at from now)')}
      where revoked_at is null and not exists (select from existing) and id = any(array(
        select id from refresh_token_families
        where user_id = $2 and revoked_at is null
          and expires_at > clock_timestamp() and rotated_at > clock_timestamp() - make_interval(secs => $8)
        order by rotated_at desc, id
        offset $9
      ))
      returning id, ${NOTIFY_REVOCATION}
    ),
    created as (
      insert into refresh_token_families
        (id, user_id, secret_hash, generation, key_id, rotated_at, created_at, expires_at, ip_address, user_agent, amr)
      select $1, $2, $3, 1, $4, now.at, now.at, now.at + make_interval(secs => $5), $6, $7, $10
      from now
      where not exists (select from existing)
      returning created_at, rotated_at, expires_at
    )
    select extract(epoch from created_at)::float8 as now_seconds,
      extract(epoch from rotated_at)::float8 as rotated_at_seconds,
      extract(epoch from expires_at)::float8 as expires_at_seconds,
      extract(epoch from created_at)::float8 as authenticated_at_seconds,
      array(
        select id from evicted
        union all
        select id from refresh_token_families
        where exists (select from existing) and user_id = $2 and revoke_reason = 'session_limit'
          and revoked_at > clock_timestamp() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})
      ) as evicted_ids
    from (table existing union all table created) as family`,
};
