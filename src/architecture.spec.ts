import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Path below `src/` → text. */
type Sources = ReadonlyMap<string, string>;

/** Returns one line per violation. */
type Rule = (sources: Sources) => string[];

interface Import {
  readonly from: string;
  readonly to: string;
}

const ROOT = '(root)';

/** The wing that knows nothing of sign-in. Every feature may import it. */
const PLATFORM = 'platform/';

/**
 * Which folders a folder may import. A folder that is not in the table may neither import nor be imported: a new one
 * has to be entered here first.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'platform/config': [],
  'platform/common': ['platform/config'],
  'platform/logging': ['platform/common', 'platform/config'],
  'platform/database': ['platform/common', 'platform/config'],
  'platform/http': ['platform/common', 'platform/config', 'platform/logging', 'platform/database'],
  limits: [],
  users: ['limits'],
  tokens: [],
  tickets: ['tokens'],
  mail: ['tickets', 'tokens'],
  factors: ['limits', 'tickets'],
  keys: [],
  auth: ['limits', 'users', 'tokens', 'tickets', 'mail', 'factors', 'keys'],
  gateway: ['tokens', 'auth'],
  oauth: ['tokens', 'keys', 'auth'],
  health: ['tokens', 'keys'],
  metrics: ['users', 'tokens', 'mail'],
  cli: [ROOT, 'users', 'mail', 'factors', 'keys', 'auth'],
  [ROOT]: ['users', 'tokens', 'mail', 'factors', 'keys', 'auth', 'gateway', 'oauth', 'health', 'metrics'],
};

/** What one folder shows to the others; a folder that is not here is shared as a whole. */
const FACES: Readonly<Record<string, RegExp>> = {
  limits: /\.(module|service|types|errors)\.js$/,
  users: /\.(module|service|types|errors)\.js$/,
  tokens: /\.(module|service|types|errors)\.js$/,
  tickets: /\.(module|service|types|errors)\.js$/,
  mail: /\.(module|service|types|errors)\.js$/,
  factors: /\.(module|service|types|errors)\.js$/,
  keys: /\.(module|service|types|errors)\.js$/,
  auth: /(?:\.(module|service|types|errors|dto|guard|decorator|decorators)|\/authentication-demand)\.js$/,
  gateway: /\.(module|service|types|errors)\.js$/,
  oauth: /\.module\.js$/,
  health: /\.module\.js$/,
  metrics: /\.module\.js$/,
};

/**
 * Features see what documents their routes, the names of cookies and what the log tells of a session, the gateway what an error means, and
 * metrics the outcome of a request.
 */
const HTTP_FACE_OF_FEATURES =
  /^platform\/http\/(cookie-names|form-route|openapi|forward-auth|published-document|request-session|problems\/(api-problems|error-translation|problem))\.js$/;

/** The HTTP edge sees which errors mean that the database is unavailable, and nothing else of it. */
const DATABASE_FACE_OF_HTTP = 'platform/database/database.errors.js';

/**
 * The one dependency against the direction: the schema is described by the entities, which no other folder may import.
 */
const isEntityForSchema = ({ from, to }: Import): boolean =>
  from.startsWith('platform/database/') && /\.entity\.js$/.test(to);

/** What serves is composed and started from here only. */
const STARTED_BY = /^(main\.ts|internal\.ts|app\.)/;

/** What the published package exports for the test kit, which looks behind every face. */
const FACE_OF_PACKAGE = 'internal.ts';

/** Made by a factory, so that Nest need not know what their constructors take. */
const MADE_BY_HAND: readonly string[] = [
  'platform/database/database.service.ts',
  'platform/http/problems/problem.filter.ts',
];

const HAS_SQL = /(?:^platform\/database\/|\.(?:repository|statement)\.ts$)/;

/**
 * `settle` retries a `TemporarilyUnavailableError` after a lost commit, but must not retry this one, whose client has
 * gone.
 */
const HAS_A_BORROWED_CODE: readonly string[] = ['RefreshDroppedError'];

const SQL =
  /(['"`])\s*(?:select\s|insert\s+into\s|update\s+[\w.]+(?:\s+as\s+\w+)?\s+set\s|delete\s+from\s|with\s+\w+\s+as\s|(?:begin|commit|rollback)\b['"`\s]|listen\s+\$|(?:create|drop|alter)\s+(?:table|index|function|unique))/i;

/** The rooms of `auth` are one folder; those of the platform are folders of their own. */
function folderOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return !path.includes('/') ? ROOT : path.startsWith(PLATFORM) ? `${PLATFORM}${second}` : first;
}

function mayImport(own: string, other: string): boolean {
  const isFeatureOnPlatform = other in MAY_IMPORT && other.startsWith(PLATFORM) && !own.startsWith(PLATFORM);
  return own in MAY_IMPORT && (isFeatureOnPlatform || MAY_IMPORT[own]?.includes(other) === true);
}

function importsOf(sources: Sources): Import[] {
  return [...sources].flatMap(([from, text]) =>
    [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*['"](\.{1,2}\/[^'"]+)['"]/g)].map(([, specifier = '']) => ({
      from,
      to: posix.join(posix.dirname(from), specifier),
    })),
  );
}

/** Between two folders, except those that are meant to cross a line. */
function importsBetweenFolders(sources: Sources): Import[] {
  return importsOf(sources).filter(
    (each) => folderOf(each.from) !== folderOf(each.to) && !isEntityForSchema(each) && each.from !== FACE_OF_PACKAGE,
  );
}

function describeImport({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

const importsFollowTheTable: Rule = (sources) =>
  importsBetweenFolders(sources)
    .filter(({ from, to }) => !mayImport(folderOf(from), folderOf(to)))
    .map(describeImport);

const facesAreKept: Rule = (sources) =>
  importsBetweenFolders(sources)
    .filter(({ from, to }) => {
      const [own, other] = [folderOf(from), folderOf(to)];
      if (other === 'platform/http') {
        return own !== ROOT && !HTTP_FACE_OF_FEATURES.test(to);
      }
      if (other === 'platform/database' && own === 'platform/http') {
        return to !== DATABASE_FACE_OF_HTTP;
      }
      return FACES[other]?.test(to) === false;
    })
    .map(describeImport);

const nobodyImportsTheStart: Rule = (sources) =>
  importsOf(sources)
    .filter(({ from, to }) => /^(main|app\.\w+)\.js$/.test(to) && (to === 'main.js' || !STARTED_BY.test(from)))
    .map(describeImport);

/** Between folders; each cycle is told once per folder in it. */
const foldersHaveNoCycles: Rule = (sources) => {
  const graph = graphOf(
    importsOf(sources)
      .filter((each) => !isEntityForSchema(each))
      .map(({ from, to }) => [folderOf(from), folderOf(to)]),
  );
  return cyclesIn(graph);
};

const filesHaveNoCycles: Rule = (sources) =>
  cyclesIn(graphOf(importsOf(sources).map(({ from, to }) => [from.replace(/\.ts$/, '.js'), to])));

function graphOf(edges: readonly (readonly string[])[]): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const [from = '', to = ''] of edges) {
    if (from !== to) {
      graph.set(from, (graph.get(from) ?? new Set()).add(to));
    }
  }
  return graph;
}

/** The nodes that can be reached from themselves. */
function cyclesIn(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  return [...graph.keys()]
    .filter((start) => {
      const seen = new Set<string>();
      const open = [...(graph.get(start) ?? [])];
      for (let node = open.pop(); node !== undefined; node = open.pop()) {
        if (!seen.has(node)) {
          seen.add(node);
          open.push(...(graph.get(node) ?? []));
        }
      }
      return seen.has(start);
    })
    .map((start) => `${start} depends on itself`);
}

/** Files that the pattern finds something in, and that are not meant to have it. */
function findings(sources: Sources, pattern: RegExp, isMeant: (path: string) => boolean, what: string): string[] {
  return [...sources]
    .filter(([path, text]) => !isMeant(path) && pattern.test(withoutComments(text)))
    .map(([path]) => `${path} ${what}`);
}

const nowhere = (): boolean => false;

const noForwardRefs: Rule = (sources) => findings(sources, /\bforwardRef\b/, nowhere, 'has a forwardRef');

const noBarrels: Rule = (sources) => [
  ...[...sources.keys()].filter((path) => /(^|\/)index\.ts$/.test(path)).map((path) => `${path} is a barrel`),
  ...findings(
    sources,
    /^export (?:type )?(?:\*|\{[^}]*\}) .*from /m,
    (path) => path === FACE_OF_PACKAGE,
    'exports what is not its own',
  ),
];

const oneReaderOfTheEnvironment: Rule = (sources) =>
  findings(
    sources,
    /\bprocess\s*(?:\.|\[['"])\s*env\b/,
    (path) => path.startsWith('platform/config/'),
    'reads the environment',
  );

/** `DatabaseClient` listens for errors from its creation; the one pool is made of that class. */
const oneClassOfConnections: Rule = (sources) =>
  findings(
    sources,
    /\bnew (?:pg\.)?(?:Client|Pool)\(/,
    (path) => path === 'platform/database/connection-pool.ts',
    'makes a connection that may lack a listener for errors',
  );

/** Loading takes most of a start: what a program imports before it knows that it needs it. */
const startsLoadWhatTheyNeed: Rule = (sources) => [
  ...loadedBy('main.ts', sources, /\/data-source\.ts$/),
  ...loadedBy('app.setup.ts', sources, /\/data-source\.ts$/),
  ...loadedBy('cli/services.ts', sources, /\/data-source\.ts$|\.(?:controller|dto|guard|strategy)\.ts$/),
];

/** Follows the imports of values that are made at once. */
function loadedBy(start: string, sources: Sources, unneeded: RegExp): string[] {
  const loaded = new Set([start]);
  for (const from of loaded) {
    for (const [, to = ''] of (sources.get(from) ?? '').matchAll(/^import (?!type\b)[^;]*?'(\.[^']+)\.js';$/gm)) {
      loaded.add(`${posix.join(posix.dirname(from), to)}.ts`);
    }
  }
  return [...loaded].filter((path) => unneeded.test(path)).map((path) => `${start} loads ${path}`);
}

const oneClock: Rule = (sources) =>
  findings(sources, /\bnew Date\(|\bDate\.now\b/, (path) => path === 'platform/common/clock.ts', 'looks at the clock');

const sqlInRepositories: Rule = (sources) => findings(sources, SQL, (path) => HAS_SQL.test(path), 'has SQL');

/** Only the door asks `tokens` for a family: any other caller would be a way around what the door asks of a user. */
const sessionsHaveOneDoor: Rule = (sources) =>
  findings(
    sources,
    /\bcreateFamily\b|\bOPEN_FAMILY\b/,
    (path) => path === 'auth/sessions/sign-ins.service.ts' || path.startsWith('tokens/'),
    'opens a session past SignInsService',
  );

/**
 * No answer to a cookie origin has a refresh token in its body: `SessionCookiesService` decides for the JSON routes, and
 * the OAuth route refuses such an origin.
 */
const MAKES_PAIRS_ANSWERS: readonly string[] = [
  'auth/auth.dto.ts',
  'auth/cookies/session-cookies.service.ts',
  'oauth/oauth.dto.ts',
  FACE_OF_PACKAGE,
];

const onePlaceMakesPairsAnswers: Rule = (sources) =>
  findings(
    sources,
    /\brefresh_token:|\btoTokenPairDto\b/,
    (path) => MAKES_PAIRS_ANSWERS.includes(path),
    'makes a token pair an answer',
  );

const oneClassPerErrorCode: Rule = (sources) => {
  const parents = new Map<string, string>();
  const codesOf = new Map<string, string[]>();
  for (const [, name = '', parent = '', body = ''] of matchesIn(
    sources,
    /\bclass (\w+) extends (\w+)[^{]*\{(.*?)\n?\}$/gms,
  )) {
    parents.set(name, parent);
    codesOf.set(
      name,
      [...body.matchAll(/^ *readonly code = '(\w+)'/gm)].map(([, code = '']) => code),
    );
  }
  const isDomainError = (name = ''): boolean => {
    const parent = parents.get(name);
    return parent === 'DomainError' || (parent !== undefined && isDomainError(parent));
  };
  const classes = [...parents.keys()].filter((name) => isDomainError(name) && !HAS_A_BORROWED_CODE.includes(name));
  const codes = matchesIn(sources, /^export type (?:ProblemCode|OAuthRefusalCode) =([^;]*);/gm).flatMap(
    ([, union = '']) => [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code),
  );
  return [
    ...classes
      .filter((name) => codesOf.get(name)?.length !== 1)
      .map((name) => `${name} has ${codesOf.get(name)?.length ?? 0} codes`),
    ...codes
      .map((code) => [code, classes.filter((name) => codesOf.get(name)?.includes(code))] as const)
      .filter(([, owners]) => owners.length !== 1)
      .map(([code, owners]) => `${code} is the code of ${owners.join(' and ') || 'no class'}`),
  ];
};

function matchesIn(sources: Sources, pattern: RegExp): RegExpExecArray[] {
  return [...sources.values()].flatMap((text) => [...text.matchAll(pattern)]);
}

/** A class imported as a type does not exist at run time, and Nest finds `Object` in its place. */
const injectedClassesAreImported: Rule = (sources) =>
  [...sources]
    .filter(([path, text]) => !MADE_BY_HAND.includes(path) && /^@(Injectable|Controller|Catch)\(/m.test(text))
    .flatMap(([path, text]) => {
      const parameters = /\bconstructor\(([^)]*)\)/.exec(withoutComments(text))?.[1] ?? '';
      const injected = [...parameters.matchAll(/\w+\s*:\s*(\w+)/g)].map(([, name]) => name ?? '');
      const types = typeImportsOf(text);
      return injected.filter((name) => types.has(name)).map((name) => `${path} injects the type ${name}`);
    });

/**
 * `password-hasher.service.ts` exports `PasswordHasherService`, `clock.ts` exports `Clock`: either name gives the
 * other.
 */
const classesAreNamedAfterTheirFiles: Rule = (sources) =>
  [...sources].flatMap(([path, text]) => {
    const expected = posix.basename(path, '.ts').replace(/[-.]/g, '');
    return [...text.matchAll(/^@(?:Injectable|Controller|Module|Catch)\([\s\S]*?^export (?:abstract )?class (\w+)/gm)]
      .map(([, name = '']) => name)
      .filter((name) => name.toLowerCase() !== expected)
      .map((name) => `${path} exports ${name}`);
  });

/** The compiler gives Nest `Object` as the type of a union, and the validation pipe then lets everything through. */
const bodiesAreOneClass: Rule = (sources) =>
  findings(
    sources,
    /@(?:Body|Query)\(\)\s*(?:readonly\s+)?(?:\w+|\{[^}]*\})\??\s*:\s*\w+(?:<[^>]*>)?\s*\|/,
    nowhere,
    'has a body of several types',
  );

function typeImportsOf(text: string): Set<string> {
  const whole = [...text.matchAll(/^import type \{([^}]*)\}/gm)].flatMap(([, names = '']) => names.split(','));
  const single = [...text.matchAll(/^import \{([^}]*)\}/gm)]
    .flatMap(([, names = '']) => names.split(','))
    .filter((name) => /^\s*type\s/.test(name))
    .map((name) => name.replace(/^\s*type\s/, ''));
  return new Set([...whole, ...single].map((name) => name.trim()));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function readSources(): Sources {
  const directory = fileURLToPath(new URL('.', import.meta.url));
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'));
  return new Map(paths.map((path) => [path, readFileSync(join(directory, path), 'utf8')]));
}

describe('the architecture', () => {
  const sources = readSources();

  it('is read whole', () => {
    expect([...sources.keys()]).toEqual(
      expect.arrayContaining(['main.ts', 'auth/auth.module.ts', 'platform/common/clock.ts']),
    );
    expect(importsOf(sources).length).toBeGreaterThan(200);
  });

  it.each<[string, Rule, Readonly<Record<string, string>>, string[]]>([
    [
      'lets folders import in the direction of the table only',
      importsFollowTheTable,
      {
        'users/a.service.ts': "import { B } from '../tokens/b.service.js';",
        'tokens/b.service.ts': "import type { A } from '../users/a.types.js';\nimport { C } from './c.js';",
        'platform/common/c.ts': "const d = await import('../../auth/d.service.js');",
        'platform/database/e.ts':
          "import { F } from '../../users/f.service.js';\nimport { G } from '../../users/g.entity.js';",
        'audit/h.ts': "import '../platform/common/clock.js';",
        'auth/i.ts': "import { A } from '../users/a.service.js';",
        'users/j.ts': "import {\n  K,\n  type L,\n} from '../app.module.js';",
        'platform/http/k.ts': "import { M } from '../logging/m.js';",
        'platform/logging/l.ts': "import { N } from '../http/n.js';",
        'keys/m.ts': "import { O } from '../platform/database/o.js';\nimport { P } from '../platform/mail/p.js';",
      },
      [
        'users/a.service.ts imports tokens/b.service.js',
        'tokens/b.service.ts imports users/a.types.js',
        'platform/common/c.ts imports auth/d.service.js',
        'platform/database/e.ts imports users/f.service.js',
        'audit/h.ts imports platform/common/clock.js',
        'users/j.ts imports app.module.js',
        'platform/logging/l.ts imports platform/http/n.js',
        'keys/m.ts imports platform/mail/p.js',
      ],
    ],
    [
      'lets a folder see the faces of another only',
      facesAreKept,
      {
        'auth/a.ts': "import { B } from '../users/b.repository.js';\nimport { C } from '../users/c.service.js';",
        'auth/d.ts': "import { E } from '../tokens/e.entity.js';\nimport { F } from '../tokens/f.codec.js';",
        'keys/g.ts':
          "import { H } from '../platform/http/problems/problem.filter.js';\nimport { I } from '../platform/http/openapi.js';",
        'platform/http/j.ts': "import { K } from '../database/database.service.js';",
        'gateway/l.ts': "import { M } from '../auth/m.strategy.js';\nimport { N } from '../auth/n.guard.js';",
      },
      [
        'auth/a.ts imports users/b.repository.js',
        'auth/d.ts imports tokens/e.entity.js',
        'auth/d.ts imports tokens/f.codec.js',
        'keys/g.ts imports platform/http/problems/problem.filter.js',
        'platform/http/j.ts imports platform/database/database.service.js',
        'gateway/l.ts imports auth/m.strategy.js',
      ],
    ],
    [
      'lets only the start itself import what starts the service',
      nobodyImportsTheStart,
      {
        'cli/a.ts': "import '../main.js';\nimport { AppModule } from '../app.module.js';",
        'auth/b.ts': "import { createApp } from '../app.setup.js';",
      },
      ['cli/a.ts imports main.js', 'cli/a.ts imports app.module.js', 'auth/b.ts imports app.setup.js'],
    ],
    [
      'has no cycle between folders',
      foldersHaveNoCycles,
      {
        'users/a.ts': "import '../tokens/b.js';",
        'tokens/b.ts': "import '../keys/c.js';",
        'keys/c.ts': "import '../users/d.js';",
        'users/d.ts': "import './a.js';",
        'auth/e.ts': "import '../users/a.js';",
      },
      ['users depends on itself', 'tokens depends on itself', 'keys depends on itself'],
    ],
    [
      'has no cycle between files',
      filesHaveNoCycles,
      {
        'users/a.ts': "import type { B } from './b.js';",
        'users/b.ts': "import { A } from './a.js';",
        'users/c.ts': "import { A } from './a.js';",
      },
      ['users/a.js depends on itself', 'users/b.js depends on itself'],
    ],
    [
      'has no forwardRef',
      noForwardRefs,
      { 'users/a.ts': 'imports: [forwardRef(() => AuthModule)]', 'users/b.ts': '// no forwardRef here' },
      ['users/a.ts has a forwardRef'],
    ],
    [
      'has no barrel',
      noBarrels,
      {
        'users/index.ts': '',
        'users/a.ts': "export * from './b.js';",
        'users/b.ts': "export { C } from './c.js';",
        'users/c.ts': "export type { D } from './d.js';",
        'users/d.ts': 'export interface D {}\nexport const e = 1;',
      },
      [
        'users/index.ts is a barrel',
        'users/a.ts exports what is not its own',
        'users/b.ts exports what is not its own',
        'users/c.ts exports what is not its own',
      ],
    ],
    [
      'makes no connection to the database that could lack a listener for errors',
      oneClassOfConnections,
      {
        'users/a.ts': 'const client = new Client({});',
        'tokens/b.ts': 'const pool = new pg.Pool();',
        'tokens/c.ts': 'const client = new DatabaseClient({});',
      },
      [
        'users/a.ts makes a connection that may lack a listener for errors',
        'tokens/b.ts makes a connection that may lack a listener for errors',
      ],
    ],
    [
      'reads the environment in one folder',
      oneReaderOfTheEnvironment,
      {
        'users/a.ts': 'const { PORT } = process.env;',
        'users/b.ts': "const port = process['env']['PORT'];",
        'platform/config/c.ts': 'const { PORT } = process.env;',
      },
      ['users/a.ts reads the environment', 'users/b.ts reads the environment'],
    ],
    [
      'looks at the clock in one file',
      oneClock,
      {
        'users/a.ts': 'const now = new Date();',
        'users/b.ts': 'const now = Date.now();',
        'users/c.ts': 'const clock = Date.now;',
        'platform/common/clock.ts': 'return new Date();',
        'users/d.ts': '// new Date() is the clock’s\nconst createdAt: Date = row.createdAt;',
      },
      ['users/a.ts looks at the clock', 'users/b.ts looks at the clock', 'users/c.ts looks at the clock'],
    ],
    [
      'has SQL only in repositories, statements and the database folder',
      sqlInRepositories,
      {
        'users/a.service.ts': "await database.query('select 1');",
        'users/b.service.ts': 'const statement = `\n  update users set status = $1`;',
        'auth/c.service.ts': 'query(`with locked as (select 1) delete from x`)',
        'auth/d.service.ts': 'const text = "delete from users";',
        'users/e.repository.ts': "await database.query('select 1');",
        'users/f.service.ts': "const kinds = ['selected', 'updated', 'with an end'];",
      },
      [
        'users/a.service.ts has SQL',
        'users/b.service.ts has SQL',
        'auth/c.service.ts has SQL',
        'auth/d.service.ts has SQL',
      ],
    ],
    [
      'opens sessions by SignInsService only',
      sessionsHaveOneDoor,
      {
        'auth/sessions/sign-ins.service.ts':
          'return this.tokens.createFamily(transaction, family, user, methods, client);',
        'tokens/tokens.service.ts': 'await this.families.createFamily(transaction, family);',
        'auth/passkeys/a.service.ts': 'await this.tokens.createFamily(transaction, family, user, [], client);',
        'auth/passkeys/b.service.ts': "const { createFamily } = tokens;\ntokens['createFamily']();",
        'auth/passkeys/c.service.ts': 'await transaction.queryPrepared(OPEN_FAMILY, []);',
        'auth/passkeys/d.service.ts': '// createFamily is called elsewhere',
      },
      [
        'auth/passkeys/a.service.ts opens a session past SignInsService',
        'auth/passkeys/b.service.ts opens a session past SignInsService',
        'auth/passkeys/c.service.ts opens a session past SignInsService',
      ],
    ],
    [
      'makes a token pair an answer where cookie origins are known',
      onePlaceMakesPairsAnswers,
      {
        'auth/a.controller.ts': 'return toTokenPairDto(pair);',
        'auth/b.controller.ts': 'return { refresh_token: pair.refreshToken };',
        'auth/c.controller.ts': 'refresh(@Body() { refresh_token }: RefreshTokenDto): void {}',
        'auth/cookies/session-cookies.service.ts': 'return toTokenPairDto(pair);',
      },
      ['auth/a.controller.ts makes a token pair an answer', 'auth/b.controller.ts makes a token pair an answer'],
    ],
    [
      'has one class per error code, and one code per class',
      oneClassPerErrorCode,
      {
        'platform/common/domain.errors.ts':
          "export type ProblemCode = 'a' | 'b' | 'c';\nexport abstract class DomainError extends Error {\n  abstract readonly code: ProblemCode;\n}\nexport class AError extends DomainError {\n  readonly code = 'a';\n}",
        'users/users.errors.ts':
          "export class OtherAError extends DomainError {\n  readonly code = 'a';\n}\nexport class HeirError extends AError {}\nexport class BError extends DomainError {\n  readonly code = 'b';\n\n  constructor() {\n    super();\n  }\n}",
        'keys/keys.errors.ts': "export class UntrustedError extends Error {\n  readonly code = 'a';\n}",
      },
      ['HeirError has 0 codes', 'a is the code of AError and OtherAError', 'c is the code of no class'],
    ],
    [
      'imports injected classes as values',
      injectedClassesAreImported,
      {
        'users/a.service.ts':
          "import type { B } from './b.js';\nimport { type C, D } from './c.js';\n@Injectable()\nexport class A {\n  constructor(\n    private readonly b: B,\n    private readonly c: C,\n    private readonly d: D,\n  ) {}\n}",
        'users/e.ts': "import type { B } from './b.js';\nexport class E {\n  constructor(private readonly b: B) {}\n}",
      },
      ['users/a.service.ts injects the type B', 'users/a.service.ts injects the type C'],
    ],
    [
      'loads TypeORM for migrations only, and no route for a command',
      startsLoadWhatTheyNeed,
      {
        'main.ts': "import { a } from './a.js';\nawait import('./platform/database/data-source.js');",
        'a.ts': "import {\n  type B,\n  c,\n} from './platform/database/data-source.js';",
        'app.setup.ts': "import type { D } from './platform/database/data-source.js';",
        'cli/services.ts': "import '../auth/auth.module.js';",
        'auth/auth.module.ts': "import { AuthController } from './auth.controller.js';",
      },
      ['main.ts loads platform/database/data-source.ts', 'cli/services.ts loads auth/auth.controller.ts'],
    ],
    [
      'names the classes that Nest makes after their files',
      classesAreNamedAfterTheirFiles,
      {
        'users/a-b.service.ts': '@Injectable()\nexport class ABService {}',
        'users/c.service.ts': '@Injectable()\nexport class C {}',
        'users/d.ts': "@Controller('d')\n@Public()\nexport class DController {}",
        'oauth/oauth.module.ts': '@Module({\n  imports: [],\n})\nexport class OAuthModule {}',
        'users/e.repository.ts': 'export class F {}',
      },
      ['users/c.service.ts exports C', 'users/d.ts exports DController'],
    ],
    [
      'lets every body be of one class, which can be validated',
      bodiesAreOneClass,
      {
        'auth/a.controller.ts': 'logout(@Body() body: LogoutDto | undefined): void {}',
        'auth/b.controller.ts': 'refresh(@Body() { token }: RefreshDto | null): void {}',
        'auth/c.controller.ts':
          'logout(@Body() body: LogoutDto = {}, @Current() identity: Identity | undefined): void {}',
      },
      ['auth/a.controller.ts has a body of several types', 'auth/b.controller.ts has a body of several types'],
    ],
  ])('%s', (_guarantee, rule, sample, expected) => {
    expect(rule(new Map(Object.entries(sample)))).toEqual(expected);
    expect(rule(sources)).toEqual([]);
  });
});
