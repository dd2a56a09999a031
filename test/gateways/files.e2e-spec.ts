import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadAll } from 'js-yaml';
import { RECIPES } from '../support/gateway-process.js';

/** Programs that no Debian package has: their files are read here, and run nowhere. */
const NOT_RUN = ['apisix', 'aws', 'envoy', 'istio', 'kong', 'traefik'];

const RUN = ['apache', 'caddy', 'haproxy', 'nginx'];

const IDENTITY_HEADERS = [
  'X-User-Id',
  'X-User-Roles',
  'X-User-Scope',
  'X-Session-Id',
  'X-Token-Id',
  'X-Token-Expires-At',
];

const INDEXES = ['gateways/README.md', 'docs/gateways.md'];

const configurations = readdirSync(RECIPES, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.includes('/') && !path.endsWith('.md'))
  .map((path): [string, string] => [path, readFileSync(join(RECIPES, path), 'utf8')]);

const folderOf = (path: string): string => path.slice(0, path.indexOf('/'));

describe('the recipes for gateways', () => {
  it.each(INDEXES)('are all listed in %s', (index) => {
    const markdown = readFileSync(fileURLToPath(new URL(`../../${index}`, import.meta.url)), 'utf8');
    const folders = [...new Set(configurations.map(([path]) => folderOf(path)))].sort();
    expect(folders).toEqual([...NOT_RUN, ...RUN].sort());
    expect(folders.filter((folder) => !markdown.includes(`${folder}/README.md)`))).toEqual([]);
  });

  it.each(configurations.filter(([path]) => NOT_RUN.includes(folderOf(path))))(
    'can be parsed, and say that nobody has run them: %s',
    (path, text) => {
      const documents = extname(path) === '.json' ? [JSON.parse(text) as unknown] : loadAll(text);
      expect(documents).not.toEqual([]);
      expect(documents.filter((document) => typeof document !== 'object' || document === null)).toEqual([]);
      expect(text).toContain('Not run here');
      expect(readFileSync(join(RECIPES, folderOf(path), 'README.md'), 'utf8')).toContain('**Not run here');
    },
  );

  it.each(configurations.filter(([, text]) => text.includes('/auth/verify') && /X-User-Id/i.test(text)))(
    'know all identity headers if they know one: %s',
    (_path, text) => {
      const known = text.toLowerCase();
      expect(IDENTITY_HEADERS.filter((header) => !known.includes(header.toLowerCase()))).toEqual([]);
    },
  );

  it.each(RUN)('say which version was run: %s', (folder) => {
    expect(readFileSync(join(RECIPES, folder, 'README.md'), 'utf8')).toMatch(/\*\*Run here:\*\* \w+ \d\.\d+/);
  });
});
