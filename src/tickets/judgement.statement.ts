import type { PreparedStatement } from '../platform/database/database.service.js';
import type { TicketRefusal } from './tickets.types.js';

export const MAX_WRONG_PROOFS = 5;

export interface TicketRow {
  readonly user_id: string | null;
  readonly email: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly created_at: Date;
}

export interface JudgementRow extends TicketRow {
  readonly verdict: 'consumed' | 'consumed before' | 'unproven' | Exclude<TicketRefusal, 'unknown'>;
}

/**
 * Decides one presentation of a ticket and carries the decision out. The row lock lets exactly one of any number of
 * concurrent presentations consume it, and no wrong proof is lost from the count: one that waited judges the row as the
 * winner left it, because a locking read returns the newest version.
 *
 * The retry of the attempt that consumed it comes first: by then the ticket may have expired, and the attempt itself may
 * have changed the credentials. Siblings, which are the user's other tickets of the purpose, are consumed by no attempt,
 * so that no retry revives one. A ticket that outlives a change of the credentials, which undoes one, takes only those that
 * were issued after it: an intruder who makes two changes and undoes the second must not kill the owner's undo of the first.
 * The caller's lock on the user's row keeps two siblings from waiting for each other.
 *
 * $1 ticket id, $2 purpose, $3 key id, $4 user id, $5 credential version or null for a ticket that is bound to none,
 * $6 attempt id, $7 the proof is right
 */
export const JUDGE_TICKET: PreparedStatement = {
  name: 'judge_ticket',
  text: `
    with locked as materialized (
      select * from tickets
      where id = $1 and purpose = $2 and key_id = $3 and user_id is not distinct from $4
      for no key update
    ),
    seen as materialized (
      select locked.*, clock_timestamp() as seen_at from locked
    ),
    judged as materialized (
      select seen.*, case
        when consumed_by = $6 then 'consumed before'
        when consumed_at is not null then 'used'
        when seen_at >= expires_at then 'expired'
        when attempts >= ${MAX_WRONG_PROOFS} then 'exhausted'
        when credential_version is distinct from $5 then 'superseded'
        when $7 then 'consumed'
        else 'unproven'
      end as verdict
      from seen
    ),
    moved as (
      update tickets as ticket
      set attempts = judged.attempts + (verdict = 'unproven')::integer,
        consumed_at = case verdict when 'consumed' then seen_at end,
        consumed_by = case verdict when 'consumed' then $6::uuid end
      from judged
      where ticket.id = $1 and verdict in ('consumed', 'unproven')
    ),
    siblings as (
      update tickets as sibling
      set consumed_at = seen_at
      from judged
      where verdict = 'consumed' and sibling.user_id = $4 and sibling.purpose = $2 and sibling.id <> $1
        and sibling.consumed_at is null
        and (judged.credential_version is not null or sibling.created_at > judged.created_at)
    )
    select verdict, user_id, email, data, created_at from judged`,
};
