import pg from 'pg';

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL_SIZE),
});

export async function createTable() {
  await pool.query(`
    create table oidc_payloads (
      type text not null,
      id text not null,
      payload jsonb not null,
      grant_id text,
      user_code text,
      uid text,
      expires_at timestamptz,
      consumed_at timestamptz,
      primary key (type, id)
    )`);
  await pool.query('create index oidc_payloads_grant_id_idx on oidc_payloads (grant_id) where grant_id is not null');
  await pool.query('create index oidc_payloads_uid_idx on oidc_payloads (uid) where uid is not null');
  await pool.query('create index oidc_payloads_user_code_idx on oidc_payloads (user_code) where user_code is not null');
}

/**
 * oidc-provider ships no adapter for Postgres. This one is the shape that its documentation asks for and that the usual
 * community ones have, one row per artefact with the payload as JSON, and as quick as that shape allows: a primary key
 * for every look-up, prepared statements, one round trip per call.
 */
export class PostgresAdapter {
  #type;

  constructor(type) {
    this.#type = type;
  }

  async upsert(id, payload, expiresInSeconds) {
    await pool.query({
      name: 'upsert',
      text: `insert into oidc_payloads (type, id, payload, grant_id, user_code, uid, expires_at)
             values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
             on conflict (type, id) do update set payload = excluded.payload, grant_id = excluded.grant_id,
               user_code = excluded.user_code, uid = excluded.uid, expires_at = excluded.expires_at`,
      values: [
        this.#type,
        id,
        JSON.stringify(payload),
        payload.grantId ?? null,
        payload.userCode ?? null,
        payload.uid ?? null,
        expiresInSeconds ?? null,
      ],
    });
  }

  find(id) {
    return this.#findOne('find', 'id = $2', id);
  }

  findByUid(uid) {
    return this.#findOne('find_by_uid', 'uid = $2', uid);
  }

  findByUserCode(userCode) {
    return this.#findOne('find_by_user_code', 'user_code = $2', userCode);
  }

  async consume(id) {
    await pool.query({
      name: 'consume',
      text: 'update oidc_payloads set consumed_at = now() where type = $1 and id = $2',
      values: [this.#type, id],
    });
  }

  async destroy(id) {
    await pool.query({
      name: 'destroy',
      text: 'delete from oidc_payloads where type = $1 and id = $2',
      values: [this.#type, id],
    });
  }

  async revokeByGrantId(grantId) {
    await pool.query({
      name: 'revoke_by_grant_id',
      text: 'delete from oidc_payloads where grant_id = $1',
      values: [grantId],
    });
  }

  async #findOne(name, condition, value) {
    const { rows } = await pool.query({
      name,
      text: `select payload, extract(epoch from consumed_at)::float8 as consumed from oidc_payloads
             where type = $1 and ${condition} and (expires_at is null or expires_at > now())`,
      values: [this.#type, value],
    });
    const [row] = rows;
    if (row === undefined) {
      return undefined;
    }
    return row.consumed === null ? row.payload : { ...row.payload, consumed: Math.floor(row.consumed) };
  }
}
