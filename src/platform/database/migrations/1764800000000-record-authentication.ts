import type { MigrationInterface, QueryRunner } from 'typeorm';

export class RecordAuthentication1764800000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // A constant default rewrites no row, and older instances that insert without the columns get it as well. Neither
    // column has an index, so a rotation stays an update within its page.
    await queryRunner.query(`
      alter table refresh_token_families
        add column amr text[] not null default '{}',
        add column auth_time timestamptz`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('alter table refresh_token_families drop column amr, drop column auth_time');
  }
}
