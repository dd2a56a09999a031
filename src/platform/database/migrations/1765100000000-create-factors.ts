import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateFactors1765100000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Repeats what the three tables say, so that no sign-in has to ask them. A constant default rewrites no row.
    await queryRunner.query(`
      alter table users
        add column second_factors text[] not null default '{}',
        add constraint users_second_factors_check check (second_factors <@ array['totp', 'passkey'])`);
    await queryRunner.query(`
      create table totp_factors (
        id uuid constraint totp_factors_pkey primary key,
        user_id uuid not null,
        secret_encrypted bytea not null,
        encryption_key_id smallint not null,
        confirmed_at timestamptz,
        last_step bigint not null default 0,
        created_at timestamptz not null,
        last_used_at timestamptz
      )`);
    // One factor of a user, and beside it one secret that may replace it.
    await queryRunner.query(
      'create unique index totp_factors_confirmed_key on totp_factors (user_id) where confirmed_at is not null',
    );
    await queryRunner.query(
      'create unique index totp_factors_unconfirmed_key on totp_factors (user_id) where confirmed_at is null',
    );
    await queryRunner.query(`
      create table recovery_codes (
        user_id uuid,
        code_hash bytea,
        used_at timestamptz,
        created_at timestamptz not null,
        constraint recovery_codes_pkey primary key (user_id, code_hash)
      )`);
    await queryRunner.query(`
      create table passkeys (
        id bytea constraint passkeys_pkey primary key,
        user_id uuid not null,
        rp_id text not null,
        public_key bytea not null,
        algorithm integer not null,
        sign_count bigint not null,
        transports text[] not null,
        aaguid uuid not null,
        backup_eligible boolean not null,
        backed_up boolean not null,
        name text not null,
        created_at timestamptz not null,
        last_used_at timestamptz
      )`);
    await queryRunner.query('create index passkeys_user_id_idx on passkeys (user_id)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table passkeys');
    await queryRunner.query('drop table recovery_codes');
    await queryRunner.query('drop table totp_factors');
    await queryRunner.query('alter table users drop column second_factors');
  }
}
