import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { isInstalled, RECIPES } from '../support/gateway-process.js';

/** The lines of `Cookie` of a request, Ratchet's cookies among them, and the others as a backend gets them. */
const REQUESTS: readonly (readonly [lines: readonly string[], ofRatchet: readonly string[], others: string])[] = [
  [[], [], ''],
  [['a=1'], [], 'a=1'],
  [['a=1; b=2'], [], 'a=1; b=2'],
  [
    ['__Host-Http-ratchet-access=A; __Host-Http-ratchet-refresh=R'],
    ['__Host-Http-ratchet-access=A', '__Host-Http-ratchet-refresh=R'],
    '',
  ],
  [['a=1; ratchet-access=A; b=2; ratchet-refresh=R; c=3'], ['ratchet-access=A', 'ratchet-refresh=R'], 'a=1; b=2; c=3'],
  [['ratchet-refresh=R;a=1'], ['ratchet-refresh=R'], 'a=1'],
  // Ratchet refuses two of one name, so the question must have both.
  [['ratchet-access=A; a=1; ratchet-access=B'], ['ratchet-access=A', 'ratchet-access=B'], 'a=1'],
  [['a=1', '__Host-Http-ratchet-access=A', 'b=2'], ['__Host-Http-ratchet-access=A'], 'a=1; b=2'],
  [['a=1; ratchet-access =A; b=2'], ['ratchet-access =A'], 'a=1; b=2'],
  [['a=ratchet-access=A'], [], 'a=ratchet-access=A'],
  [['ratchet-access'], [], 'ratchet-access'],
  [['my-ratchet-access=1; ratchet-accessible=2; =3'], [], 'my-ratchet-access=1; ratchet-accessible=2; =3'],
];

/** A stand-in for what Envoy passes to a script: two filters of one request share the metadata. */
const ENVOY = `
local function handle_of(lines, metadata)
  local cookies, headers = lines, { [':method'] = 'PATCH', ['x-original-method'] = 'GET' }
  local map = {
    getNumValues = function(_, name) assert(name == 'cookie'); return #cookies end,
    getAtIndex = function(_, name, index) assert(name == 'cookie'); return cookies[index + 1] end,
    get = function(_, name) return headers[name] end,
    replace = function(_, name, value) headers[name] = value end,
    remove = function(_, name) if name == 'cookie' then cookies = {} else headers[name] = nil end end,
    add = function(_, name, value) assert(name == 'cookie'); table.insert(cookies, value) end,
  }
  return {
    headers = function() return map end,
    streamInfo = function()
      return {
        dynamicMetadata = function()
          return {
            set = function(_, filter, key, value) metadata[filter] = { [key] = value } end,
            get = function(_, filter) return metadata[filter] end,
          }
        end,
      }
    end,
  }, function() return table.concat(cookies, '; ') .. '|' .. (headers['x-original-method'] or '') end
end
local function filter_of(script)
  local scope = setmetatable({}, { __index = _G })
  setfenv(assert(loadstring(script)), scope)()
  return scope.envoy_on_request
end
`;

const APISIX = `
package.preload['apisix.core'] = function()
  return { request = { set_header = function(ctx, name, value) assert(name == 'cookie'); ctx.var.http_cookie = value end } }
end
`;

const RECIPES_WITH_SCRIPTS = {
  'Envoy, asking': {
    scripts: () => inlineStrings('envoy/ext-authz.yaml'),
    program: `${ENVOY}
local before, after = filter_of(scripts[1]), filter_of(scripts[2])
function run(lines)
  local metadata = {}
  local handle, seen = handle_of(lines, metadata)
  before(handle)
  local question = seen()
  after(handle)
  return question, seen()
end`,
    question: (ofRatchet: readonly string[]) => `${ofRatchet.join('; ')}|PATCH`,
    backend: (others: string) => `${others}|`,
  },
  'Envoy, asking, after a failure of the first script': {
    scripts: () => inlineStrings('envoy/ext-authz.yaml'),
    program: `${ENVOY}
local after = filter_of(scripts[2])
function run(lines)
  local handle, seen = handle_of(lines, {})
  after(handle)
  return '', seen()
end`,
    question: () => '',
    backend: () => '|',
  },
  Istio: {
    scripts: () => inlineStrings('istio/request-authentication.yaml'),
    program: `${ENVOY}
local filter = filter_of(scripts[1])
function run(lines)
  local handle, seen = handle_of(lines, {})
  filter(handle)
  return '', seen()
end`,
    question: () => '',
    backend: (others: string) => `${others}|GET`,
  },
  Kong: {
    scripts: () => valuesOf('kong/kong.yaml', 'access').flat() as string[],
    program: `
function run(lines)
  local cookie
  local headers = { cookie = #lines > 1 and lines or lines[1] }
  kong = {
    request = { get_headers = function() return headers end },
    service = { request = {
      clear_header = function(name) assert(name == 'Cookie'); cookie = nil end,
      set_header = function(name, value) assert(name == 'Cookie'); cookie = value end,
    } },
  }
  cookie = 'not cleared'
  assert(loadstring(scripts[1]))()
  return '', cookie or ''
end`,
    question: () => '',
    backend: (others: string) => others,
  },
  'APISIX, asking': {
    scripts: () => (valuesOf('apisix/forward-auth.yaml', 'functions').flat() as string[]).slice(0, 2),
    program: `${APISIX}
local before, after = assert(loadstring(scripts[1]))(), assert(loadstring(scripts[2]))()
function run(lines)
  local ctx = { var = { http_cookie = #lines > 0 and table.concat(lines, '; ') or nil } }
  before({}, ctx)
  local question = ctx.var.http_cookie or ''
  after({}, ctx)
  return question, ctx.var.http_cookie or ''
end`,
    question: (ofRatchet: readonly string[]) => ofRatchet.filter((cookie) => cookie.includes('access')).join('; '),
    backend: (others: string) => others,
  },
  'APISIX, checking': {
    scripts: () => valuesOf('apisix/openid-connect.yaml', 'functions').flat() as string[],
    program: `${APISIX}
local filter = assert(loadstring(scripts[1]))()
function run(lines)
  local ctx = { var = { http_cookie = #lines > 0 and table.concat(lines, '; ') or nil } }
  filter({}, ctx)
  return '', ctx.var.http_cookie or ''
end`,
    question: () => '',
    backend: (others: string) => others,
  },
};

describe('the recipes that are not run', () => {
  it.skipIf(!isInstalled('luajit', '-v')).each(Object.entries(RECIPES_WITH_SCRIPTS))(
    'keep Ratchet’s two cookies from backends and pass the others: %s',
    (_name, { scripts, program, question, backend }) => {
      expect(answersOf(scripts(), program)).toEqual(
        REQUESTS.map(([, ofRatchet, others]) => [question(ofRatchet), backend(others)]),
      );
    },
  );

  it('of APISIX have the same scripts in both chains', () => {
    const scripts = valuesOf('apisix/forward-auth.yaml', 'functions').flat();
    expect(scripts).toHaveLength(4);
    expect(scripts.slice(2)).toEqual(scripts.slice(0, 2));
  });

  it('keep Ratchet’s two cookies from backends and pass the others: Oathkeeper', () => {
    const [template] = valuesOf('oathkeeper/config.yaml', 'Cookie') as string[];
    const [, before = '', each = ''] =
      /^\{\{ regexReplaceAll "([^"]+)" \(regexReplaceAll "([^"]+)" \(\.MatchContext\.Header\.Get "Cookie"\) ""\) "" \}\}$/.exec(
        template ?? '',
      ) ?? [];
    const patternOf = (goString: string): RegExp => new RegExp(JSON.parse(`"${goString}"`) as string, 'g');
    // Oathkeeper's template sees the first line and replaces all.
    const requests = REQUESTS.filter(([lines]) => lines.length < 2);
    expect(requests.map(([[line = '']]) => line.replace(patternOf(each), '').replace(patternOf(before), ''))).toEqual(
      requests.map(([, , others]) => others),
    );
  });
});

/** What the question and the backend have of each request. */
function answersOf(scripts: readonly string[], program: string): (readonly string[])[] {
  const lua = `
local scripts = { ${scripts.map((script) => `[==[\n${script}]==]`).join(', ')} }
${program}
for _, lines in ipairs({ ${REQUESTS.map(([lines]) => `{ ${lines.map((line) => `[==[${line}]==]`).join(', ')} }`).join(', ')} }) do
  local question, backend = run(lines)
  print(question .. '\\t' .. backend)
end`;
  const printed = execFileSync('luajit', ['-'], { input: lua, encoding: 'utf8' });
  return printed
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'));
}

const inlineStrings = (path: string): string[] => valuesOf(path, 'inline_string').filter((value) => isLua(value));

function isLua(value: unknown): value is string {
  return typeof value === 'string' && value.includes('function envoy_on_request');
}

/** All values below a key, wherever it is, in the order of the file. */
function valuesOf(path: string, key: string): unknown[] {
  const search = (node: unknown): unknown[] =>
    typeof node !== 'object' || node === null
      ? []
      : Object.entries(node).flatMap(([name, value]) => (name === key ? [value as unknown] : search(value)));
  return loadAll(readFileSync(join(RECIPES, path), 'utf8')).flatMap(search);
}
