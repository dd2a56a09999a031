import type { MigrationInterface, QueryRunner } from 'typeorm';

export class FindEndedSessionsOfUser1764300100000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Finds the live sessions of a user as the index before it did, and those that have ended lately as well.
    await queryRunner.query(`
      create index refresh_token_families_user_id_revoked_at_idx on refresh_token_families (user_id, revoked_at)`);
    await queryRunner.query('drop index refresh_token_families_live_user_id_idx');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      create index refresh_token_families_live_user_id_idx
      on refresh_token_families (user_id) where revoked_at is null`);
    await queryRunner.query('drop index refresh_token_families_user_id_revoked_at_idx');
  }
}
