import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateCoreTables1764000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // A role ends up in gateway headers and, comma-joined, in claims: the database holds the alphabet.
    await queryRunner.query(`
      create function are_role_names(names text[]) returns boolean
      language sql immutable parallel safe
      return (select count(*) <= 32 and coalesce(bool_and(name is not null and name ~ '^[a-z0-9_.:-]{1,64}$'), true)
              from unnest(names) as name)`);
    await queryRunner.query(`
      create table users (
        id uuid constraint users_pkey primary key,
        email text not null constraint users_email_key unique,
        password_hash text not null,
        status text not null default 'active',
        roles text[] not null default '{}',
        credential_version integer not null default 1,
        created_at timestamptz not null default now(),
        constraint users_status_check check (status in ('active', 'disabled')),
        constraint users_roles_check check (are_role_names(roles)),
        constraint users_email_check check (email = lower(email) and length(email) <= 254)
      )`);
    await queryRunner.query(`
      create table refresh_token_families (
        id uuid constraint refresh_token_families_pkey primary key,
        user_id uuid not null,
        secret_hash bytea not null,
        generation integer not null,
        key_id smallint not null,
        rotated_at timestamptz not null,
        retry_key_hash bytea,
        retry_key_from_client boolean not null default false,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        user_agent text,
        ip_address inet,
        revoked_at timestamptz,
        revoked_xid xid8,
        revoke_reason text,
        constraint refresh_token_families_revocation_check check (
          num_nulls(revoked_at, revoked_xid, revoke_reason) in (0, 3)
        )
      ) with (fillfactor = 80)`);
    // Only columns that a rotation leaves alone are indexed, so that every rotation is a HOT update.
    await queryRunner.query(`
      create index refresh_token_families_live_user_id_idx
      on refresh_token_families (user_id) where revoked_at is null`);
    await queryRunner.query(`
      create index refresh_token_families_expires_at_idx on refresh_token_families (expires_at)`);
    await queryRunner.query(`
      create index refresh_token_families_revoked_at_idx
      on refresh_token_families (revoked_at) where revoked_at is not null`);
    await queryRunner.query(`
      create index refresh_token_families_revoked_xid_idx
      on refresh_token_families (revoked_xid) where revoked_xid is not null`);
    await queryRunner.query(`
      create table signing_keys (
        kid text constraint signing_keys_pkey primary key,
        algorithm text not null,
        status text not null,
        public_jwk jsonb not null,
        private_key_encrypted bytea not null,
        encryption_key_id smallint not null,
        created_at timestamptz not null default now(),
        activated_at timestamptz,
        retiring_at timestamptz,
        constraint signing_keys_algorithm_check check (algorithm in ('ES256', 'RS256')),
        constraint signing_keys_status_check check (status in ('next', 'active', 'retiring'))
      )`);
    // At most one key signs per algorithm, whatever the instances race for.
    await queryRunner.query(`
      create unique index signing_keys_active_algorithm_key on signing_keys (algorithm) where status = 'active'`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table signing_keys');
    await queryRunner.query('drop table refresh_token_families');
    await queryRunner.query('drop table users');
    await queryRunner.query('drop function are_role_names(text[])');
  }
}
