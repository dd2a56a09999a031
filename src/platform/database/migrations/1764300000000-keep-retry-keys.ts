import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Eight entries of twelve bytes. */
const EMPTY_HISTORY = `'\\x${'00'.repeat(96)}'`;

export class KeepRetryKeys1764300000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // A constant default rewrites no row, and older instances that insert without the column get it as well. Full from
    // the beginning: a row that grew with its first rotations would outgrow its page.
    await queryRunner.query(`
      alter table refresh_token_families add column retry_key_history bytea not null default ${EMPTY_HISTORY}`);
    // The row is wider; a page keeps room for as many new versions as before.
    await queryRunner.query('alter table refresh_token_families set (fillfactor = 70)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('alter table refresh_token_families set (fillfactor = 80)');
    await queryRunner.query('alter table refresh_token_families drop column retry_key_history');
  }
}
