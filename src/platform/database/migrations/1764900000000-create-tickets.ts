import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateTickets1764900000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // A consumed sibling has no attempt; a ticket that outlives its user's credentials has a user and no version.
    await queryRunner.query(`
      create table tickets (
        id uuid constraint tickets_pkey primary key,
        purpose text not null,
        key_id smallint not null,
        user_id uuid,
        email text,
        credential_version integer,
        data jsonb not null,
        attempts smallint not null default 0,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        consumed_at timestamptz,
        consumed_by uuid,
        constraint tickets_user_check check (credential_version is null or user_id is not null),
        constraint tickets_consumption_check check (consumed_by is null or consumed_at is not null)
      )`);
    await queryRunner.query(`
      create index tickets_live_user_id_idx on tickets (user_id) where consumed_at is null`);
    await queryRunner.query(`
      create index tickets_expires_at_idx on tickets (expires_at)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table tickets');
  }
}
