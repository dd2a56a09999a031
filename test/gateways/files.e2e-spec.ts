import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { load, loadAll } from 'js-yaml';
import { loadConfig } from '../../src/platform/config/config.loader.js';
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

const COMPOSE = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));

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

  it.each([
    [
      'envoy/ext-authz.yaml',
      /- name: ratchet\n(?: {6}.*\n)*? {10}common_http_protocol_options: \{ idle_timeout: (\d+)s \}/g,
      1,
    ],
    ['apache/ratchet.conf', /^ *ProxyPass \S+ \$\{RATCHET_URL\}\S+ ttl=(\d+)$/gm, 3],
  ])('close idle connections before Ratchet does where the program would not: %s', (file, idleSeconds, count) => {
    const text = new Map(configurations).get(file) ?? '';
    const { keepAliveSeconds } = loadConfig({ NODE_ENV: 'test' }).http;
    const seconds = [...text.matchAll(idleSeconds)].map(([, value]) => Number(value));
    expect(seconds).toHaveLength(count);
    expect(Math.max(...seconds)).toBeLessThan(keepAliveSeconds);
  });

  it.each(RUN)('say which version was run: %s', (folder) => {
    expect(readFileSync(join(RECIPES, folder, 'README.md'), 'utf8')).toMatch(/\*\*Run here:\*\* \w+ \d\.\d+/);
  });
});

describe('the gateway of docker-compose.yml', () => {
  const recipe = readFileSync(join(RECIPES, 'nginx/ratchet.conf'), 'utf8');

  it('looks up again the address of every container behind it', () => {
    const configured = configurationOf({ nginxUnderstandsResolve: true });
    expect(configured).toMatch(/^resolver 127\.0\.0\.11 valid=\d+s;\n/);
    expect(configured.match(/^ *server \w+:\d+.*;$/gm)).toEqual([
      '  server auth:3000 resolve;',
      '  server orders:8080 resolve;',
    ]);
    expect(configured.match(/^ *zone \w+ 64k;$/gm)).toHaveLength(2);
  });

  it('is the recipe as it is where nginx is too old to look up again', () => {
    expect(configurationOf({ nginxUnderstandsResolve: false })).toBe(recipe);
  });

  /** What nginx would read, after the command of the compose file with a stand-in for the program. */
  function configurationOf({ nginxUnderstandsResolve }: { readonly nginxUnderstandsResolve: boolean }): string {
    const { services } = load(readFileSync(COMPOSE, 'utf8')) as {
      services: { gateway: { command: [string, string, string] } };
    };
    const [shell, options, script] = services.gateway.command;
    const folder = mkdtempSync(join(tmpdir(), 'ratchet-compose-'));
    try {
      mkdirSync(join(folder, 'conf.d'));
      writeFileSync(join(folder, 'ratchet.conf'), recipe);
      writeFileSync(join(folder, 'nginx'), `#!/bin/sh\n[ "$1" != -t ] || ${String(nginxUnderstandsResolve)}\n`, {
        mode: 0o755,
      });
      execFileSync(shell, [options, script.replace('/etc/nginx', folder)], {
        env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
      });
      return readFileSync(join(folder, 'conf.d/default.conf'), 'utf8');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
});
