import { readdirSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

import { format } from 'prettier';
import { describe, expect, it } from 'vitest';

import { renderConfigurationPage, renderEnvExample } from '../../../scripts/config-documents.mjs';
import { configRuleTexts } from './config.rules.js';
import { configVariableGroups, configVariableList } from './config.variables.js';

const root = new URL('../../../', import.meta.url);

describe('the table of variables', () => {
  it('names each variable once', () => {
    const names = configVariableList.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  it.each(configVariableList.map((variable) => [variable.name, variable] as const))(
    'gives %s either a default that its own parser accepts or says what its absence means',
    (_name, variable) => {
      if (variable.default === undefined) {
        expect(variable.whenUnset).toMatch(/\w/);
      } else {
        expect(variable.parser.parse(variable.default)).not.toBeUndefined();
        expect(variable.whenUnset).toBeUndefined();
      }
    },
  );

  it('gives no secret a default, because everyone knows a default', () => {
    const secrets = configVariableList.filter(({ isSecret }) => isSecret === true);
    expect(secrets.map(({ name }) => name)).toEqual([
      'DATABASE_URL',
      'DATABASE_DIRECT_URL',
      'AUTH_SECRET',
      'AUTH_SECRET_ACCEPTED',
      'REDIS_URL',
      'MAIL_URL',
    ]);
    expect(secrets.filter((variable) => variable.default !== undefined)).toEqual([]);
  });
});

describe('every variable', () => {
  it('is read by the service, and one that no file reads is found', () => {
    const sources = [
      'listen(config.http.port)',
      'const { host, proxies } = this.config.http;',
      'function f({ hsts }: Pick<Config["http"], "hsts">) {}',
      '// config.http.banner',
      'other.banner(); config.http.bannerText;',
    ];
    expect(findUnread({ http: { port: {}, host: {}, hsts: {}, banner: {} } }, sources)).toEqual(['http.banner']);
    expect(findUnread(configVariableGroups, readSources())).toEqual([]);
  });
});

describe('the documents that are written from the table', () => {
  const page = renderConfigurationPage(configVariableList, configRuleTexts);

  it.each([
    ['.env.example', renderEnvExample(configVariableList)],
    ['docs/configuration.md', page],
  ])('%s is up to date; else run npm run docs:config', (path, text) => {
    expect(readFileSync(new URL(path, root), 'utf8')).toBe(text);
  });

  it('.env.example changes nothing when it is copied without a change', () => {
    const example = renderEnvExample(configVariableList);
    expect(Object.keys(parseEnv(example))).toEqual([]);
    const uncommented = Object.keys(parseEnv(example.replace(/^# (?=[A-Z_]+=)/gm, '')));
    expect(uncommented.sort()).toEqual(configVariableList.map(({ name }) => name).sort());
  });

  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const cellsOf = (name: string): string[] | undefined =>
    rows
      .find((row) => row.startsWith(`| \`${name}\``))
      ?.split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());

  it('docs/configuration.md has one row for each variable, in the order of the table', () => {
    expect(rows.map((row) => /`(\w+)`/.exec(row)?.[1])).toEqual(configVariableList.map(({ name }) => name));
  });

  it('docs/configuration.md says of a secret that it can come from a file, and what its absence means', () => {
    expect(cellsOf('DATABASE_URL')).toEqual([
      '`DATABASE_URL`, `DATABASE_URL_FILE`',
      'embedded PostgreSQL',
      'a `postgres://` or `postgresql://` URL, with special characters of the password percent-encoded',
      'The database, PostgreSQL 15 or later; required in production.',
    ]);
  });

  it('docs/configuration.md says of a number its default and its range', () => {
    expect(cellsOf('ACCESS_TOKEN_TTL_SECONDS')).toEqual([
      '`ACCESS_TOKEN_TTL_SECONDS`',
      '`300`',
      'a whole number from 30 to 3600',
      'Lifetime of an access token.',
    ]);
  });

  it('docs/configuration.md lists what the settings must fulfil together', () => {
    expect(page).toContain('- `METRICS_PORT` must be another port than `PORT`.\n');
  });

  it('docs/configuration.md is Markdown that the formatter leaves alone', async () => {
    expect(await format(page, { parser: 'markdown' })).toBe(page);
  });
});

/**
 * Finds the variables whose value no source reads, as `group.name` or by destructuring a group. A function that takes a
 * whole group has to name its parameter after it.
 */
function findUnread(groups: Readonly<Record<string, object>>, sources: readonly string[]): string[] {
  const code = sources.map((text) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ''));
  return Object.entries(groups).flatMap(([group, variables]) =>
    Object.keys(variables)
      .filter((name) => {
        const read = new RegExp(
          `\\b${group}\\??\\.${name}\\b|\\{[^{}]*\\b${name}\\b[^{}]*\\}\\s*[=:][^;{}]*\\b${group}\\b`,
        );
        return !code.some((text) => read.test(text));
      })
      .map((name) => `${group}.${name}`),
  );
}

function readSources(): string[] {
  const paths = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' });
  return paths
    .map((path) => path.replaceAll('\\', '/'))
    .filter(
      (path) =>
        path.endsWith('.ts') && !path.endsWith('.spec.ts') && !/^platform\/config\/(?!config\.loader\.ts)/.test(path),
    )
    .map((path) => readFileSync(new URL(`src/${path}`, root), 'utf8'));
}
