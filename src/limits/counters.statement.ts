import type { PreparedStatement } from '../platform/database/database.service.js';

const NOW_MS = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/** A key whose points have all been given back begins a new window, as in Redis. */
const IS_OVER = `(counter.expire <= ${NOW_MS} or counter.points = 0)`;

/**
 * Takes where the limit allows it: what it refuses, it does not return from `taken`. Keys are locked in one order, so
 * two statements never wait for each other. $1 keys, $2 points, $3 limits, $4 windows in milliseconds
 */
export const TAKE_FROM_COUNTERS: PreparedStatement = {
  name: 'take_from_counters',
  text: `
    with asked as (
      select * from unnest($1::text[], $2::integer[], $3::integer[], $4::bigint[]) as asked(key, points, most, window_ms)
    ),
    taken as (
      insert into rate_limits as counter (key, points, expire)
      select key, points, ${NOW_MS} + window_ms from asked order by key
      on conflict (key) do update
      set points = case when ${IS_OVER} then 0 else counter.points end + excluded.points,
        expire = case when ${IS_OVER} then excluded.expire else counter.expire end
      where ${IS_OVER} or counter.points + excluded.points <= (select most from asked where asked.key = counter.key)
      returning key, points, expire
    )
    select asked.key, taken.key is not null as is_taken, coalesce(taken.points, counter.points, asked.most) as points,
      (coalesce(taken.expire, counter.expire, ${NOW_MS} + asked.window_ms) - ${NOW_MS})::float8 / 1000 as remaining_seconds
    from asked left join taken on taken.key = asked.key left join rate_limits as counter on counter.key = asked.key`,
};

export interface TakenRow {
  readonly key: string;
  readonly is_taken: boolean;
  readonly points: number;
  readonly remaining_seconds: number;
}

/** $1 keys, $2 points to give back, $3 keys, $4 points, $5 windows in milliseconds to set */
export const CHANGE_COUNTERS: PreparedStatement = {
  name: 'change_counters',
  text: `
    with due as materialized (
      select counter.key, given.points
      from unnest($1::text[], $2::integer[]) as given(key, points) join rate_limits as counter on counter.key = given.key
      order by counter.key
      for update of counter
    ),
    begun as (
      insert into rate_limits as counter (key, points, expire)
      select key, points, ${NOW_MS} + window_ms
      from unnest($3::text[], $4::integer[], $5::bigint[]) as begun(key, points, window_ms)
      order by key
      on conflict (key) do update set points = excluded.points, expire = excluded.expire
    )
    update rate_limits as counter set points = greatest(0, counter.points - due.points)
    from due where counter.key = due.key`,
};

export const HAS_COUNTER: PreparedStatement = {
  name: 'has_counter',
  text: `select from rate_limits where key = $1 and points > 0 and expire > ${NOW_MS}`,
};

export const DELETE_EXPIRED = `delete from rate_limits where expire <= ${NOW_MS}`;
