import { describe, expect, it } from 'vitest';
import { format } from 'prettier';

import { renderConfigurationTable } from './configuration-table.js';
import { configVariableList } from './config.variables.js';

describe('the configuration table', () => {
  const lines = renderConfigurationTable().trimEnd().split('\n');
  const cellsOf = (line: string | undefined): string[] =>
    (line ?? '')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());

  it('has one row for each variable, in the order of the list', () => {
    expect(lines.slice(2).map((line) => /`(\w+)`/.exec(line)?.[1])).toEqual(configVariableList.map(({ name }) => name));
  });

  it('says of a secret that it can come from a file, and what its absence means', () => {
    const row = lines.find((line) => line.startsWith('| `DATABASE_URL`'));
    expect(cellsOf(row)).toEqual([
      '`DATABASE_URL`, `DATABASE_URL_FILE`',
      'embedded PostgreSQL',
      'a `postgres://` or `postgresql://` URL, with special characters of the password percent-encoded',
      'The database, PostgreSQL 15 or later; required in production.',
    ]);
  });

  it('says of a number its default and its range', () => {
    const row = lines.find((line) => line.startsWith('| `ACCESS_TOKEN_TTL_SECONDS`'));
    expect(cellsOf(row)).toEqual([
      '`ACCESS_TOKEN_TTL_SECONDS`',
      '`300`',
      'a whole number from 30 to 3600',
      'Lifetime of an access token.',
    ]);
  });

  it('is Markdown that the formatter leaves alone, so that the README can hold it byte for byte', async () => {
    expect(await format(renderConfigurationTable(), { parser: 'markdown' })).toBe(renderConfigurationTable());
  });
});
