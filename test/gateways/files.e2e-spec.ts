import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { load, loadAll } from 'js-yaml';
import { loadConfig } from '../../src/platform/config/config.loader.js';
import { RECIPES } from '../support/gateway-process.js';

/** Programs that no Debian package has: their files are read here, and run elsewhere at most. */
const NOT_RUN = ['apisix', 'aws', 'envoy', 'istio', 'kong', 'krakend', 'oathkeeper', 'traefik'];

const TRIED_ELSEWHERE = ['krakend', 'oathkeeper', 'traefik'];

const RUN = ['apache', 'caddy', 'haproxy', 'nginx'];

const IDENTITY_HEADERS = [
  'X-User-Id',
  'X-User-Roles',
  'X-User-Scope',
  'X-Session-Id',
  'X-Token-Id',
  'X-Token-Expires-At',
  'X-Auth-Acr',
  'X-Auth-Amr',
  'X-Auth-Time',
];

/** What a gateway demands of the user; a client's own do not get through. */
const DEMANDS = ['X-Require-Role', 'X-Require-Acr', 'X-Require-Max-Age'];

/** With the method of the request, all that decides whether a token or cookie counts. */
const QUESTION_HEADERS = ['Authorization', 'Cookie', 'Origin', 'Sec-Fetch-Site', 'Sec-Fetch-Mode', 'Sec-Fetch-Dest'];

/** Some frameworks take the path or the method from these. */
const MISLEADING_HEADERS = [
  'Forwarded',
  'X-Original-Url',
  'X-Rewrite-Url',
  'X-Http-Method-Override',
  'X-Forwarded-Path',
  'X-Accel-Redirect',
];

/** Read as `/admin` by backends that ignore case, cut `;…` off, take backslashes for slashes or decode twice. */
const ODD_PATHS = [
  '/;/admin',
  '/a;/../admin',
  '/%3b/admin',
  '/\\admin',
  '/%5Cadmin',
  '/%2fadmin',
  '/%2561dmin',
  '/admin%3Fx',
];

const ADMIN_PATHS = ['/admin', '/ADMIN', '/aDmin/users', '/admin;x', '/administrators'];

/** What only backends and monitoring may ask. */
const INTERNAL_PATHS = ['/auth/verify', '/auth/verify/orders', '/auth/revocations'];

const RATCHET_PATHS = [
  '/auth/login',
  '/auth/sessions/5b0e2b5c-5c0b-4d0a-9d3e-0f6a3c1b2a10',
  '/oauth/token',
  '/.well-known/jwks.json',
  '/.well-known/keys/abc.pem',
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

const SITE_PATHS = ['/', '/orders/1', '/.well-known/acme-challenge/x', '/.well-known/security.txt'];

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
    'can be parsed, and say that they are not run here: %s',
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
    ['apache/ratchet.conf', /^ *ProxyPass \S+ \$\{RATCHET_URL\}\S+ ttl=(\d+)$/gm, 6],
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

  it.each(TRIED_ELSEWHERE)('say which version was tried elsewhere, and what was not: %s', (folder) => {
    const readme = readFileSync(join(RECIPES, folder, 'README.md'), 'utf8').replace(/\s+/g, ' ');
    expect(readme).toMatch(/\*\*Tried elsewhere:\*\* \w+ v?\d/);
    expect(readme).toMatch(/6,491 hostile spellings.* was not tried/);
  });

  it.each(configurations.filter(([path, text]) => NOT_RUN.includes(folderOf(path)) && /X-User-Roles/i.test(text)))(
    'pass neither path nor method of a header on to backends, but their cookies and keys: %s',
    (path, text) => {
      const isList = path.startsWith('krakend/');
      const isPart = path === 'envoy/jwt-authn.yaml';
      const named = MISLEADING_HEADERS.filter((header) => new RegExp(`(?<![\\w-])${header}(?![\\w-])`, 'i').test(text));
      // AWS sets Forwarded itself and lets nothing change it.
      const expected = path.startsWith('aws/') ? MISLEADING_HEADERS.slice(1) : MISLEADING_HEADERS;
      expect(named).toEqual(isList || isPart ? [] : expected);
      expect(/idempotency-key/i.test(text)).toBe(isList);
    },
  );

  it.each(configurations.filter(([path, text]) => NOT_RUN.includes(folderOf(path)) && text.includes('jwks.json')))(
    'leave the other documents below /.well-known/ to the site: %s',
    (_path, text) => {
      expect(text.replace(/^ *#.*$/gm, '')).not.toMatch(/\.well-known\/[`*"'\s)|}]/);
    },
  );

  it('of Traefik give each router a priority, so that no rule wins by its length', () => {
    const { routers } = traefik().http;
    const byPriority = Object.entries(routers).sort(([, a], [, b]) => b.priority - a.priority);
    expect(byPriority.map(([name]) => name)).toEqual([
      'ratchet',
      'odd-paths',
      'admin-with-cookies',
      'admin',
      'orders-with-cookies',
      'orders',
    ]);
    expect(new Set(Object.values(routers).map(({ priority }) => priority)).size).toBe(6);
    expect(routers['admin']?.middlewares).toEqual(['admins-only']);
    expect(routers['orders']?.middlewares).toEqual(['signed-in']);
    expect(routers['odd-paths']?.middlewares).toEqual(['refuse']);
  });

  it.each([
    // Traefik has decoded what is not reserved, a backslash for instance.
    ['odd-paths', [...ODD_PATHS.map((path) => path.replace('%5C', '\\')), ...INTERNAL_PATHS]],
    ['admin', ADMIN_PATHS.filter((path) => !path.includes(';'))],
    ['ratchet', RATCHET_PATHS],
    ['orders', SITE_PATHS],
  ])('of Traefik lead to the router %s what is meant for it', (router, paths) => {
    const routers = Object.entries(traefik().http.routers).sort(([, a], [, b]) => b.priority - a.priority);
    for (const path of paths) {
      expect([path, routers.find(([, { rule }]) => obeysTraefikRule(path, rule))?.[0]]).toEqual([path, router]);
    }
  });

  it.each(['__Host-Http-ratchet-access', '__Host-Http-ratchet-refresh', 'ratchet-access', 'ratchet-refresh'])(
    'of Traefik remove all cookies in front of backends, after the same question, from a request with %s',
    (name) => {
      const { routers, middlewares } = traefik().http;
      const byPriority = Object.entries(routers).sort(([, a], [, b]) => b.priority - a.priority);
      const routerOf = (path: string, cookie: string): string | undefined =>
        byPriority.find(([, { rule }]) => obeysTraefikRule(path, rule, cookie))?.[0];
      for (const [paths, router] of [
        [ADMIN_PATHS.filter((path) => !path.includes(';')), 'admin'],
        [SITE_PATHS, 'orders'],
      ] as const) {
        for (const path of paths) {
          expect([path, routerOf(path, `a=1; ${name}=x`), routerOf(path, 'a=1')]).toEqual([
            path,
            `${router}-with-cookies`,
            router,
          ]);
        }
        expect(routers[`${router}-with-cookies`]?.middlewares).toEqual([
          ...(routers[router]?.middlewares ?? []),
          'without-cookies',
        ]);
      }
      expect(RATCHET_PATHS.filter((path) => routerOf(path, `${name}=x`) !== 'ratchet')).toEqual([]);
      expect(routers['ratchet']?.middlewares).toBeUndefined();
      expect(middlewares['without-cookies']?.headers?.customRequestHeaders).toEqual({ Cookie: '' });
    },
  );

  it('of Traefik remove what a client sends in front of the question, in both chains', () => {
    const { middlewares } = traefik().http;
    const removed = middlewares['without-client-identity']?.headers?.customRequestHeaders ?? {};
    expect(Object.keys(removed).sort()).toEqual([...IDENTITY_HEADERS, ...MISLEADING_HEADERS, ...DEMANDS].sort());
    expect(new Set(Object.values(removed))).toEqual(new Set(['']));
    expect(middlewares['signed-in']?.chain?.middlewares).toEqual(['without-client-identity', 'ask-ratchet']);
    expect(middlewares['admins-only']?.chain?.middlewares).toEqual([
      'without-client-identity',
      'demand-admin',
      'ask-ratchet',
    ]);
    expect(parsed('traefik/static.yaml')).toMatchObject({
      entryPoints: {
        web: { http: { underscoreHeadersStrategy: 'delete', sanitizePath: true, maxHeaderBytes: 16384 } },
      },
    });
  });

  it('of Traefik, Envoy and APISIX ask with what the access cookie needs, and with the method that the gateway knows', () => {
    const asked = (parsed('apisix/forward-auth.yaml') as ApisixFile).plugin_configs.map(
      ({ plugins }) => plugins['forward-auth'].request_headers,
    );
    expect(asked).toEqual([QUESTION_HEADERS, QUESTION_HEADERS]);
    const traefiks = traefik().http.middlewares['ask-ratchet']?.forwardAuth;
    expect(traefiks).toMatchObject({ trustForwardHeader: false });
    expect(new Set(traefiks?.authRequestHeaders)).toEqual(new Set([...QUESTION_HEADERS, ...DEMANDS]));
    const envoys = envoyFilters().find(({ name }) => name === 'envoy.filters.http.ext_authz')?.typed_config;
    expect(envoys?.allowed_headers?.patterns.map(({ exact }) => exact)).toEqual(
      [...QUESTION_HEADERS, 'X-Original-Method'].map((header) => header.toLowerCase()),
    );
  });

  it('of Envoy put the other cookies aside before the question, and hand them to backends alone', () => {
    expect(envoyFilters().map(({ name }) => name)).toEqual([
      'ratchets-cookies',
      'envoy.filters.http.ext_authz',
      'envoy.filters.http.rbac',
      'backends-cookies',
      'envoy.filters.http.router',
    ]);
    for (const { match, route, typed_per_filter_config: perFilter } of envoyRoutes()) {
      const isDisabled = (perFilter?.['backends-cookies'] as { disabled: boolean } | undefined)?.disabled === true;
      expect([match, isDisabled]).toEqual([match, route?.cluster !== 'orders']);
      expect(perFilter?.['ratchets-cookies']).toBeUndefined();
    }
    expect(new Map(configurations).get('envoy/ext-authz.yaml')).toContain('- remove: x-original-method\n');
  });

  it('of gateways that check tokens take no cookie for one', () => {
    const files = new Map(configurations);
    expect(files.get('kong/kong.yaml')).toMatch(/^ +cookie_names: \[\]$/m);
    expect(files.get('istio/request-authentication.yaml')).not.toMatch(/fromCookies/);
    expect(files.get('envoy/jwt-authn.yaml')).not.toMatch(/from_cookies/);
    expect(files.get('apisix/openid-connect.yaml')).toMatch(/^ +bearer_only: true$/m);
    expect(files.get('aws/http-api.json')).toContain('["$request.header.Authorization"]');
  });

  it.each(NOT_RUN)('say what becomes of the cookies: %s', (folder) => {
    expect(readFileSync(join(RECIPES, folder, 'README.md'), 'utf8')).toMatch(/^- \*\*Cookies/m);
  });

  it.each([
    ['ratchet', RATCHET_PATHS],
    ['admin', ADMIN_PATHS.filter((path) => !path.includes(';'))],
    ['orders', SITE_PATHS],
    [undefined, [...INTERNAL_PATHS, '/;/admin', '/\\admin', '/%61dmin', '/admin;x', '/orders/%2e', '/a b', '/a\u0000']],
  ])('of Oathkeeper have exactly one rule, %s, for a path that is meant for it', (id, paths) => {
    const rules = parsed('oathkeeper/rules.yaml') as {
      readonly id: string;
      readonly match: { readonly url: string };
    }[];
    for (const path of paths) {
      const matching = rules.filter(({ match }) => oathkeeperPattern(match.url).test(`https://api.example.com${path}`));
      expect([path, matching.map((rule) => rule.id)]).toEqual([path, id === undefined ? [] : [id]]);
    }
  });

  it('of Oathkeeper ask /auth/verify and no other path, with both questions', () => {
    expect(parsed('oathkeeper/config.yaml')).toMatchObject({
      authenticators: {
        bearer_token: {
          config: {
            check_session_url: 'http://auth:3000/auth/verify',
            preserve_path: true,
            preserve_query: true,
            force_method: 'GET',
            forward_http_headers: ['Authorization'],
          },
        },
      },
      authorizers: {
        remote_json: {
          config: {
            remote: 'http://auth:3000/auth/verify',
            forward_response_headers_to_upstream: IDENTITY_HEADERS,
          },
        },
      },
    });
  });

  it('of Oathkeeper empty each spelling of an identity header that has an underscore', () => {
    const config = parsed('oathkeeper/config.yaml') as {
      readonly mutators: {
        readonly header: { readonly config: { readonly headers: Readonly<Record<string, string>> } };
      };
    };
    const headers = new Map(Object.entries(config.mutators.header.config.headers));
    expect(headers.delete('Cookie')).toBe(true);
    const spellings = IDENTITY_HEADERS.flatMap((header) => withUnderscores(header));
    expect([...headers.keys()].sort()).toEqual([...spellings, ...MISLEADING_HEADERS].sort());
    expect(new Set(headers.values())).toEqual(new Set(['']));
  });

  it('of KrakenD check the token, each parameter and the role of every place of a backend, and route no internal path', () => {
    const { endpoints } = parsed('krakend/krakend.yaml') as { readonly endpoints: readonly KrakendEndpoint[] };
    for (const { endpoint, method, input_headers: headers, extra_config: extra, backend } of endpoints) {
      expect(backend).toMatchObject([{ method, url_pattern: endpoint }]);
      const parameters = [...endpoint.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
      const checked = (extra?.['validation/cel'] ?? []).map(({ check_expr: expression }) => expression);
      expect(checked).toEqual(
        parameters.map(
          (name) => `req_params.${name[0]!.toUpperCase()}${name.slice(1)}.matches('^[A-Za-z0-9_-][A-Za-z0-9._~-]*$')`,
        ),
      );
      if (backend[0]?.host[0] === 'http://auth:3000') {
        expect(headers).toEqual([
          'Authorization',
          'Content-Type',
          'Idempotency-Key',
          ...QUESTION_HEADERS.filter((header) => header !== 'Authorization'),
        ]);
        continue;
      }
      const validator = extra?.['auth/validator'];
      expect(validator).toMatchObject({ alg: 'ES256', cookie_key: '-', audience: ['ratchet'] });
      expect(validator?.roles).toEqual(endpoint.startsWith('/admin') ? ['admin'] : undefined);
      expect(validator?.propagate_claims.map(([, header]) => header)).toEqual(IDENTITY_HEADERS);
      expect(headers).toEqual([...IDENTITY_HEADERS, 'Content-Type', 'Accept']);
    }
    const places = endpoints.map(({ endpoint }) => endpoint);
    expect(places.filter((place) => /verify|revocations|health|metrics/.test(place))).toEqual([]);
    expect(new Set(places)).toEqual(expect.objectContaining(new Set(['/admin', '/orders', '/auth/login'])));
  });

  it('of Envoy refuse odd and internal paths before any other route, and demand the role without regard to case', () => {
    const paths = [...ODD_PATHS, ...INTERNAL_PATHS, ...ADMIN_PATHS, ...RATCHET_PATHS, ...SITE_PATHS];
    const decisions = paths.map((path) => [path, envoyDecision(path)]);
    const expected = [
      ...ODD_PATHS.map((path) => [path, 400]),
      ...INTERNAL_PATHS.map((path) => [path, 404]),
      ...ADMIN_PATHS.map((path) => [path, path.includes(';') ? 400 : 'orders with a role']),
      ...RATCHET_PATHS.map((path) => [path, 'ratchet']),
      ...SITE_PATHS.map((path) => [path, 'orders']),
    ];
    expect(decisions).toEqual(expected);
  });

  it('of APISIX refuse odd and internal paths, and demand the role without regard to case', () => {
    const { routes } = parsed('apisix/forward-auth.yaml') as { readonly routes: readonly ApisixRoute[] };
    const byPriority = routes.filter(({ uri }) => uri === '/*').sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
    const [odd, admin, rest] = byPriority;
    const isOdd = new RegExp(odd?.vars?.[0]?.[2] ?? 'x^', 'i');
    const isAdmin = new RegExp(admin?.vars?.[0]?.[2] ?? 'x^', 'i');
    expect([odd?.vars?.[0]?.[0], admin?.vars?.[0]?.[0]]).toEqual(['request_uri', 'uri']);
    expect(odd?.plugins?.['fault-injection']).toEqual({ abort: { http_status: 400 } });
    expect([admin?.plugin_config_id, rest?.plugin_config_id]).toEqual(['admins-only', 'signed-in']);
    const odds = [
      ...ODD_PATHS,
      '//x/admin',
      '/admin/../orders',
      '/admin/..',
      '/./admin',
      '/%2e%2e/admin',
      '/admin;x?a=b',
    ];
    expect(odds.filter((path) => !isOdd.test(path))).toEqual([]);
    expect([...SITE_PATHS, ...RATCHET_PATHS, '/orders/a..b?next=//x;y'].filter((path) => isOdd.test(path))).toEqual([]);
    expect(ADMIN_PATHS.filter((path) => !isAdmin.test(path))).toEqual([]);
    const [ratchet, internal] = routes;
    expect(internal).toMatchObject({ uris: ['/auth/verify', '/auth/verify/*', '/auth/revocations'], priority: 10 });
    expect(internal?.plugins?.['fault-injection']).toEqual({ abort: { http_status: 404 } });
    expect(ratchet).toMatchObject({ upstream_id: 'ratchet' });
  });

  it('of Kong route what is Ratchet’s to Ratchet, and answer 404 for internal paths', () => {
    const { services } = parsed('kong/kong.yaml') as {
      readonly services: readonly { readonly routes: readonly KongRoute[] }[];
    };
    const routes = services.flatMap((service) => service.routes);
    const patternOf = (name: string): RegExp =>
      new RegExp(`^${routes.find((route) => route.name === name)?.paths[0]?.slice(1) ?? 'x^'}`);
    expect(RATCHET_PATHS.filter((path) => !patternOf('ratchet').test(path))).toEqual([]);
    expect(SITE_PATHS.filter((path) => patternOf('ratchet').test(path))).toEqual([]);
    expect(INTERNAL_PATHS.filter((path) => !patternOf('not-for-clients').test(path))).toEqual([]);
    expect(routes.find(({ name }) => name === 'not-for-clients')).toMatchObject({
      regex_priority: 10,
      plugins: [{ name: 'request-termination', config: { status_code: 404 } }],
    });
  });

  it('of AWS demand the role of the place itself and of all below it, and say that this is no access control', () => {
    const { Resources: resources } = parsed('aws/http-api.json') as {
      readonly Resources: Readonly<Record<string, { readonly Properties: Readonly<Record<string, unknown>> }>>;
    };
    const scopes = Object.values(resources).map(({ Properties: { RouteKey: key, AuthorizationScopes: of } }) => [
      key,
      of,
    ]);
    expect(scopes).toEqual(
      expect.arrayContaining([
        ['ANY /admin', ['admin']],
        ['ANY /admin/{proxy+}', ['admin']],
        ['ANY /{proxy+}', undefined],
      ]),
    );
    expect(readFileSync(join(RECIPES, 'aws/README.md'), 'utf8')).toContain('**Path patterns are no access control.**');
  });

  function traefik(): TraefikFile {
    return parsed('traefik/dynamic.yaml') as TraefikFile;
  }

  function envoyManager(): EnvoyManager | undefined {
    const { static_resources: resources } = parsed('envoy/ext-authz.yaml') as EnvoyFile;
    return resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config;
  }

  function envoyFilters(): EnvoyManager['http_filters'] {
    return envoyManager()?.http_filters ?? [];
  }

  function envoyRoutes(): readonly EnvoyRoute[] {
    return envoyManager()?.route_config.virtual_hosts[0]?.routes ?? [];
  }

  /** What Envoy does with a path that it has normalised: a status, or a cluster and whether a role is demanded. */
  function envoyDecision(path: string): string | number | undefined {
    const route = envoyRoutes().find(({ match }) => {
      if (match.safe_regex !== undefined) {
        return reOf(match.safe_regex.regex, (source) => `^(?:${source})$`).test(path);
      }
      const { prefix = '', case_sensitive: isCaseSensitive = true } = match;
      return isCaseSensitive ? path.startsWith(prefix) : path.toLowerCase().startsWith(prefix);
    });
    const hasRole = route?.typed_per_filter_config?.['envoy.filters.http.rbac'] !== undefined;
    return route?.direct_response?.status ?? `${route?.route?.cluster ?? ''}${hasRole ? ' with a role' : ''}`;
  }
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

  it('is the recipe with the sample page where nginx is too old to look up again', () => {
    const withPage = recipe.replace('  listen 8080;\n', '  listen 8080;\n  include spa.conf;\n');
    expect(configurationOf({ nginxUnderstandsResolve: false })).toBe(withPage);
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
      execFileSync(shell, [options, script.replaceAll('/tmp/', `${folder}/`).replace('/etc/nginx', folder)], {
        env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
      });
      return readFileSync(join(folder, 'conf.d/default.conf'), 'utf8');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
});

interface TraefikFile {
  readonly http: {
    readonly routers: Readonly<
      Record<string, { readonly priority: number; readonly rule: string; readonly middlewares?: readonly string[] }>
    >;
    readonly middlewares: Readonly<
      Record<
        string,
        {
          readonly headers?: { readonly customRequestHeaders: Readonly<Record<string, string>> };
          readonly chain?: { readonly middlewares: readonly string[] };
          readonly forwardAuth?: { readonly authRequestHeaders: readonly string[] };
        }
      >
    >;
  };
}

interface KrakendEndpoint {
  readonly endpoint: string;
  readonly method: string;
  readonly input_headers: readonly string[];
  readonly extra_config?: {
    readonly 'auth/validator'?: {
      readonly roles?: readonly string[];
      readonly propagate_claims: readonly (readonly [claim: string, header: string])[];
    };
    readonly 'validation/cel'?: readonly { readonly check_expr: string }[];
  };
  readonly backend: readonly { readonly host: readonly string[] }[];
}

interface EnvoyFile {
  readonly static_resources: {
    readonly listeners: readonly {
      readonly filter_chains: readonly { readonly filters: readonly { readonly typed_config: EnvoyManager }[] }[];
    }[];
  };
}

interface EnvoyManager {
  readonly http_filters: readonly {
    readonly name: string;
    readonly typed_config: {
      readonly allowed_headers?: { readonly patterns: readonly { readonly exact: string }[] };
    };
  }[];
  readonly route_config: { readonly virtual_hosts: readonly { readonly routes: readonly EnvoyRoute[] }[] };
}

interface EnvoyRoute {
  readonly match: {
    readonly prefix?: string;
    readonly case_sensitive?: boolean;
    readonly safe_regex?: { readonly regex: string };
  };
  readonly direct_response?: { readonly status: number };
  readonly route?: { readonly cluster: string };
  readonly typed_per_filter_config?: Readonly<Record<string, unknown>>;
}

interface ApisixFile {
  readonly plugin_configs: readonly {
    readonly plugins: { readonly 'forward-auth': { readonly request_headers: readonly string[] } };
  }[];
}

interface ApisixRoute {
  readonly uri?: string;
  readonly uris?: readonly string[];
  readonly priority?: number;
  readonly vars?: readonly (readonly [variable: string, operator: string, value: string])[];
  readonly plugins?: Readonly<Record<string, unknown>>;
  readonly plugin_config_id?: string;
}

interface KongRoute {
  readonly name: string;
  readonly paths: readonly string[];
}

function parsed(path: string): unknown {
  const text = readFileSync(join(RECIPES, path), 'utf8');
  return path.endsWith('.json') ? JSON.parse(text) : load(text);
}

/** Go and RE2 begin a pattern with their flags. */
function reOf(pattern: string, around: (source: string) => string = (source) => source): RegExp {
  return pattern.startsWith('(?i)') ? new RegExp(around(pattern.slice(4)), 'i') : new RegExp(around(pattern));
}

/** Reads a rule of `Path…` and of `HeaderRegexp` for `Cookie`, for a path that Traefik has resolved. */
function obeysTraefikRule(path: string, rule: string, cookie = ''): boolean {
  const matchers = /(Path|PathPrefix|PathRegexp|HeaderRegexp)\((?:`Cookie`, )?`([^`]*)`\)/g;
  const expression = rule.replace(matchers, (_all, kind: string, value: string) => {
    switch (kind) {
      case 'Path':
        return String(path === value);
      case 'PathPrefix':
        return String(path.startsWith(value));
      case 'HeaderRegexp':
        return String(new RegExp(value).test(cookie));
      default:
        return String(reOf(value).test(path));
    }
  });
  expect(expression).toMatch(/^(?:true|false|[\s()!&|])+$/);
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- only `true`, `false` and operators, as said above
  return (new Function(`return ${expression.replaceAll('\n', ' ')}`) as () => boolean)();
}

/** Oathkeeper quotes a URL outside of angle brackets and reads a pattern inside; Node 20 knows no flags in a group. */
function oathkeeperPattern(url: string): RegExp {
  const parts = url
    .split(/[<>]/)
    .map((part, index) => (index % 2 === 0 ? part.replace(/[.?+*]/g, '\\$&') : `(${part})`));
  return new RegExp(`^${parts.join('').replaceAll('(?i:admin)', '[aA][dD][mM][iI][nN]')}$`);
}

/** Every spelling of a header with at least one underscore in the place of a hyphen. */
function withUnderscores(header: string): string[] {
  const [first = '', ...rest] = header.split('-');
  const all = rest.reduce(
    (spellings, word) => spellings.flatMap((each) => [`${each}-${word}`, `${each}_${word}`]),
    [first],
  );
  return all.filter((spelling) => spelling.includes('_'));
}
