import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateInstances1764400000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Each instance updates its row every two seconds: a page keeps room for the new versions. It has to be logged, or
    // its commits would not wait for a standby.
    await queryRunner.query(`
      create table instances (
        id uuid constraint instances_pkey primary key,
        host text not null,
        version text not null,
        started_at timestamptz not null,
        seen_at timestamptz not null,
        history text not null
      ) with (fillfactor = 50)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table instances');
  }
}
