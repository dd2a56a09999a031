import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Matches no password, and is verified like any other hash. */
const HASH_OF_NO_PASSWORD = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

export class CreateMails1765000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // No account that exists has proved its address; none has lost its password.
    await queryRunner.query(`
      alter table users
        alter column password_hash drop not null,
        add column email_verified_at timestamptz,
        add column locale text`);
    await queryRunner.query(`
      create table outgoing_mails (
        id uuid constraint outgoing_mails_pkey primary key,
        template text not null,
        locale text,
        recipient text,
        ticket_id uuid,
        params jsonb,
        created_at timestamptz not null,
        attempts smallint not null default 0,
        next_attempt_at timestamptz not null,
        sent_at timestamptz,
        failed_at timestamptz,
        last_error text,
        constraint outgoing_mails_end_check check (num_nonnulls(sent_at, failed_at) <= 1)
      )`);
    await queryRunner.query(`
      create index outgoing_mails_due_idx
      on outgoing_mails (next_attempt_at) where sent_at is null and failed_at is null`);
    await queryRunner.query(`
      create table known_clients (
        user_id uuid,
        fingerprint bytea,
        last_seen timestamptz not null,
        constraint known_clients_pkey primary key (user_id, fingerprint)
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table known_clients');
    await queryRunner.query('drop table outgoing_mails');
    await queryRunner.query(`update users set password_hash = $1 where password_hash is null`, [HASH_OF_NO_PASSWORD]);
    await queryRunner.query(`
      alter table users
        drop column locale,
        drop column email_verified_at,
        alter column password_hash set not null`);
  }
}
