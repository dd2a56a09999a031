import type { PreparedStatement } from '../platform/database/database.service.js';
import { RETRY_KEY_DIGEST_BYTES } from './refresh-token.codec.js';
import { NOTIFY_REVOCATION, revocation } from './revocation.fragments.js';

/** A valid tag this far ahead of the database is a forgery, not a rotation that was lost. */
const MAX_GENERATIONS_AHEAD = 1_000;

/** How many rotations of a family keep their keys: a late attempt is as a rule one or two behind. */
const KEYS_IN_HISTORY = 8;

/** An entry is the generation that the rotation consumed, 4 bytes, and the digest of its key; the newest comes first. */
const HISTORY_BYTES = KEYS_IN_HISTORY * (4 + RETRY_KEY_DIGEST_BYTES);

/** False where none are requested. The roles of a user without any contain nothing. */
const ASKS_FOR_MORE = `not coalesce(string_to_array(requested_roles, ' ') <@ users.roles, true)`;

/** The rows of the table in `docs/rotation.md`, "Outcomes", in its order. */
export type RotationVerdict =
  | 'forged'
  | 'ended_by_reuse'
  | 'ended_by_disabling'
  | 'ended'
  | 'expired'
  | 'user_not_active'
  | 'key_reused'
  | 'roles_not_granted'
  | 'rotated'
  | 'replayed'
  | 'reused'
  | 'rolled_forward'
  | 'rolled_back';

export interface RotationRow {
  readonly id: string;
  readonly verdict: RotationVerdict;
  readonly user_id: string;
  readonly roles: string[];
  readonly generation: number;
  readonly key_id: number;
  readonly last_ip_address: string | null;
  readonly now_seconds: number;
  readonly rotated_at_seconds: number;
  readonly expires_at_seconds: number;
  readonly amr: string[];
  readonly authenticated_at_seconds: number;
}

/**
 * Decides presentations of different families and carries the decisions out, all in one statement and so in one commit.
 *
 * The row lock lets exactly one of any number of concurrent presentations of a family win; one that waited judges the
 * row as the winner left it, because a locking read returns the newest version. `judged` is computed from that locked
 * version only: the updates below it find the row by key and take every decision from `judged`, never from their own,
 * older, look at the table. `seen_at` is read after the lock is acquired, so that waiting cannot make a token look
 * fresher than it is.
 *
 * An attempt that the network or a queue has delayed can arrive after later rotations. Its own key tells it from a
 * theft: an entry of the history says which generation was consumed with which key, so it stays true whatever happens to
 * the row afterwards, and a missing entry only means that the attempt is judged without it.
 *
 * Requested roles are compared in the same statement, with the roles that the user has now, and only where the family
 * would move: a refusal leaves the token as good as it was, and a used token is judged as reuse, so that its holder
 * learns nothing about the roles. A replay moves nothing and is never refused for them, because what it repeats is done.
 *
 * Rows are found by `id = any($1)` everywhere and never by a join alone: so the plan uses the primary key whatever the
 * statistics say, or when there are none.
 *
 * $1 family ids, $2 secret hashes, $3 generations, $4 retry key hashes, $5 retry key digests,
 * $6 keys are the clients', $7 addresses, $8 user agents, $13 requested roles, space-separated, or null for all, each an
 * array with one element per presentation; $9 key id of the successors, $10 idle seconds, $11 grace seconds, $12 roll
 * forward
 */
function rotationText(waitPolicy: '' | ' skip locked'): string {
  return `
    with presented as materialized (
      select * from unnest(
        $1::uuid[], $2::bytea[], $3::integer[], $4::bytea[], $5::bytea[], $6::boolean[], $7::text[], $8::text[],
        $13::text[]
      ) as presented (
        id, secret_hash, generation, retry_key_hash, retry_key_digest, is_key_from_client, ip_address, user_agent,
        requested_roles
      )
    ),
    locked as materialized (
      select * from refresh_token_families where id = any ($1::uuid[]) for no key update${waitPolicy}
    ),
    seen as materialized (
      select locked.*, clock_timestamp() as seen_at from locked
    ),
    judged as materialized (
      select seen.*, coalesce(users.roles, '{}') as roles,
        presented.generation as presented_generation, presented.retry_key_hash as new_retry_key_hash,
        presented.retry_key_digest, presented.is_key_from_client, presented.ip_address as new_ip_address, presented.user_agent as new_user_agent,
        case
          when seen.secret_hash <> presented.secret_hash
            or presented.generation > seen.generation + ${MAX_GENERATIONS_AHEAD} then 'forged'
          when revoked_at is not null then
            case revoke_reason when 'reuse' then 'ended_by_reuse' when 'user_disabled' then 'ended_by_disabling' else 'ended' end
          when seen_at >= expires_at or seen_at >= rotated_at + make_interval(secs => $10) then 'expired'
          when users.status is distinct from 'active' then 'user_not_active'
          when presented.generation = seen.generation
            and position(presented.retry_key_digest in retry_key_history) > 0 then 'key_reused'
          when presented.generation = seen.generation and ${ASKS_FOR_MORE} then 'roles_not_granted'
          when presented.generation = seen.generation then 'rotated'
          when presented.generation = seen.generation - 1
            and seen.retry_key_hash = presented.retry_key_hash then 'replayed'
          when presented.generation = seen.generation - 1
            and not retry_key_from_client and seen_at < rotated_at + make_interval(secs => $11) then 'replayed'
          when presented.generation < seen.generation
            and position(int4send(presented.generation) || presented.retry_key_digest in retry_key_history) > 0
            then 'key_reused'
          when presented.generation < seen.generation then 'reused'
          when not $12 then 'rolled_back'
          when ${ASKS_FOR_MORE} then 'roles_not_granted'
          else 'rolled_forward'
        end as verdict
      from presented join seen on seen.id = presented.id
        -- "offset 0" keeps it a look-up by key for each row: joined as a table, all users would be read.
        left join lateral (select status, roles from users where users.id = seen.user_id offset 0) as users on true
    ),
    moved as (
      update refresh_token_families as family
      set generation = presented_generation + 1, key_id = $9, rotated_at = judged.seen_at,
          retry_key_hash = new_retry_key_hash, retry_key_from_client = is_key_from_client,
          retry_key_history = substr(
            int4send(presented_generation) || retry_key_digest || judged.retry_key_history, 1, ${HISTORY_BYTES}
          ),
          ip_address = new_ip_address::inet, user_agent = new_user_agent
      from judged
      where family.id = any ($1::uuid[]) and family.id = judged.id and verdict in ('rotated', 'rolled_forward')
    ),
    ended as (
      update refresh_token_families as family
      set ${revocation("case verdict when 'reused' then 'reuse' else 'rolled_back' end", 'judged.seen_at')}
      from judged
      where family.id = any ($1::uuid[]) and family.id = judged.id and verdict in ('reused', 'rolled_back')
      returning ${NOTIFY_REVOCATION}
    )
    select id, verdict, user_id, roles, host(ip_address) as last_ip_address,
      case when verdict in ('rotated', 'rolled_forward') then presented_generation + 1 else generation end as generation,
      case when verdict in ('rotated', 'rolled_forward') then $9 else key_id end as key_id,
      extract(epoch from seen_at)::float8 as now_seconds,
      extract(epoch from case when verdict in ('rotated', 'rolled_forward') then seen_at else rotated_at end)::float8
        as rotated_at_seconds,
      extract(epoch from expires_at)::float8 as expires_at_seconds,
      amr, extract(epoch from coalesce(auth_time, created_at))::float8 as authenticated_at_seconds
    from judged`;
}

/** Waits for a transaction that holds the row. For one family at a time: two such statements could deadlock. */
export const ROTATE_FAMILY: PreparedStatement = { name: 'rotate_family', text: rotationText('') };

/** Leaves out families that another transaction holds, and so never waits. */
export const ROTATE_FREE_FAMILIES: PreparedStatement = {
  name: 'rotate_free_families',
  text: rotationText(' skip locked'),
};
