import type { MigrationInterface, QueryRunner } from 'typeorm';

export class OneKeySigns1764200000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // There may be one active key of each algorithm: the one that was made last goes on, what the other has signed
    // stays good.
    await queryRunner.query(`
      update signing_keys set status = 'retiring', retiring_at = now()
      where status = 'active' and kid <> (
        select kid from signing_keys where status = 'active'
        order by activated_at desc nulls last, created_at desc, kid limit 1
      )`);
    await queryRunner.query('drop index signing_keys_active_algorithm_key');
    // One key signs and at most one waits to, whatever the instances race for.
    await queryRunner.query(`
      create unique index signing_keys_one_active_one_next_key on signing_keys (status) where status <> 'retiring'`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop index signing_keys_one_active_one_next_key');
    await queryRunner.query(`
      create unique index signing_keys_active_algorithm_key on signing_keys (algorithm) where status = 'active'`);
  }
}
