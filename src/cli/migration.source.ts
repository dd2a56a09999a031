export interface GeneratedMigration {
  /** Lower-case words joined by hyphens. */
  readonly name: string;
  /** Creation time in milliseconds since the epoch; migrations run in this order. */
  readonly timestampMs: number;
  /** Statements in the order in which they run. */
  readonly up: readonly string[];
  readonly down: readonly string[];
}

export function migrationClassName(name: string, timestampMs: number): string {
  const words = name.split('-').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join('')}${timestampMs}`;
}

/** Renders a migration for `src/platform/database/migrations`, formatted as Prettier does. */
export function migrationSource({ name, timestampMs, up, down }: GeneratedMigration): string {
  return `import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ${migrationClassName(name, timestampMs)} implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
${up.map(queryCall).join('\n')}
  }

  async down(queryRunner: QueryRunner): Promise<void> {
${down.map(queryCall).join('\n')}
  }
}
`;
}

function queryCall(statement: string): string {
  const literal = statement.replace(/[\\`]|\$\{/g, (special) => `\\${special}`);
  return `    await queryRunner.query(\`
      ${literal}\`);`;
}
