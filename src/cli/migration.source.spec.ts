import { describe, expect, it } from 'vitest';
import { check, resolveConfig } from 'prettier';
import { migrationSource } from './migration.source.js';

describe('the source of a generated migration', () => {
  const source = migrationSource({
    name: 'add-display-name',
    timestampMs: 1_800_000_000_000,
    up: ['alter table users add display_name text', "comment on table users is 'a `tick`, a \\ and ${this}'"],
    down: ['alter table users drop column display_name'],
  });

  it('is a class named after the migration, with every statement as it was found', () => {
    expect(source).toBe(`import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddDisplayName1800000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(\`
      alter table users add display_name text\`);
    await queryRunner.query(\`
      comment on table users is 'a \\\`tick\\\`, a \\\\ and \\\${this}'\`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(\`
      alter table users drop column display_name\`);
  }
}
`);
  });

  it('needs no formatting', async () => {
    const filepath = new URL('migration.source.spec.ts', import.meta.url).pathname;
    expect(await check(source, { ...(await resolveConfig(filepath)), filepath })).toBe(true);
  });
});
