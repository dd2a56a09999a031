import type { PreparedStatement } from '../platform/database/database.service.js';
import { AUTHENTICATION_METHODS } from './tokens.types.js';

export interface StepUpRow {
  readonly amr: string[];
  readonly now_seconds: number;
  readonly rotated_at_seconds: number;
  readonly expires_at_seconds: number;
  readonly authenticated_at_seconds: number;
}

const IN_ORDER = `array_position('{${AUTHENTICATION_METHODS.join(',')}}'::text[], method)`;

/**
 * Adds to what a live family's user has proved, and moves the time of it to now. No token is exchanged, and the end of the
 * family stays. A rotation, a logout or a reuse that holds the row comes first: the condition and the union are then
 * computed from the row as it left it. No index has these columns, so the update stays within the page (HOT).
 *
 * Methods that only a later version knows stay, at the end.
 *
 * $1 family id, $2 user id, $3 what has just been proved, $4 idle seconds
 */
export const STEP_UP_FAMILY: PreparedStatement = {
  name: 'step_up_family',
  text: `
    update refresh_token_families
    set auth_time = clock_timestamp(),
        amr = array(
          select method from unnest(amr || $3::text[]) as method group by method order by ${IN_ORDER}, method
        )
    where id = $1 and user_id = $2 and revoked_at is null
      and expires_at > clock_timestamp() and rotated_at > clock_timestamp() - make_interval(secs => $4)
    returning amr, extract(epoch from auth_time)::float8 as now_seconds,
      extract(epoch from rotated_at)::float8 as rotated_at_seconds,
      extract(epoch from expires_at)::float8 as expires_at_seconds,
      extract(epoch from auth_time)::float8 as authenticated_at_seconds`,
};
