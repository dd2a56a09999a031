import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateRateLimits1764100000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // As rate-limiter-flexible writes it: columns in this order, `expire` in milliseconds since the epoch. Unlogged,
    // because a login must not wait for a counter to be on disk; a crash of the server empties it.
    await queryRunner.query(`
      create unlogged table rate_limits (
        key text constraint rate_limits_pkey primary key,
        points integer not null,
        expire bigint
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('drop table rate_limits');
  }
}
