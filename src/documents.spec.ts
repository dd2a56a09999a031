import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configVariableList, fileVariableName } from './platform/config/config.variables.js';

/** Path from the top of the checkout → text. */
type Tree = ReadonlyMap<string, string>;

/** Returns one line per violation. */
type Rule = (tree: Tree) => string[];

/** The documents that describe the product as it is. The changelog also names what is gone. */
const DOCUMENT =
  /^(?:(?:README|SECURITY|ARCHITECTURE|CONTRIBUTING)\.md|(?:docs|packages|gateways|bench)\/.*\.md|deploy\/.*)$/;

/** Folders that are installed, built or written by a run. */
const NOT_SOURCE = new Set(['.git', 'node_modules', 'dist', 'coverage', '.ratchet']);

/** This file plants violations, so the rules for the whole tree leave it out. */
const OWN_PATH = 'src/documents.spec.ts';

/** A document may leave out the end of a file's name. */
const ENDINGS = ['', '.e2e-spec.ts', '.spec.ts', '.ts', '.mjs'];

/** Names of other programs, in their recipes. */
const NAMES_OF_OTHERS = ['METH_OPTIONS', 'REQUEST_METHOD', 'DECODE_AND_MERGE_SLASHES'];

const NAME_IN_CAPITALS = /(?<![\w-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*(?![\w-])/g;

const MOST_LINES: Readonly<Record<string, number>> = { 'README.md': 180, 'SECURITY.md': 90 };

function documentsOf(tree: Tree): [path: string, markdown: string][] {
  return [...tree].filter(([path]) => DOCUMENT.test(path));
}

function exists(tree: Tree, path: string): boolean {
  return tree.has(path) || [...tree.keys()].some((each) => each.startsWith(path.endsWith('/') ? path : `${path}/`));
}

function withoutFences(markdown: string): string {
  return markdown.replace(/^ *```[^]*?^ *```$/gm, '');
}

/** Headings as GitHub turns them into anchors. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...withoutFences(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}

const linksLead: Rule = (tree) =>
  documentsOf(tree).flatMap(([path, markdown]) =>
    [...withoutFences(markdown).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [file = '', anchor] = target.split('#');
        const destination = file === '' ? path : posix.join(posix.dirname(path), file).replace(/\/$/, '');
        return (
          !exists(tree, destination) || (anchor !== undefined && !anchorsOf(tree.get(destination) ?? '').has(anchor))
        );
      })
      .map((target) => `${path} links to ${target}`),
  );

/**
 * `src/users/password-policy.ts`, `users/password-policy` and `password-policy.ts` all name one file. A bare name may
 * also be that of a file which a program writes.
 */
const citedFilesExist: Rule = (tree) => {
  const paths = [...tree.keys()];
  const names = new Set(paths.map((path) => posix.basename(path)));
  const code = [...tree].filter(([path]) => !path.endsWith('.md')).map(([, text]) => text);
  const isWritten = (name: string): boolean => code.some((text) => text.includes(`'${name}'`));
  const roots = new Set(paths.flatMap((path) => [path, path.replace(/^src\//, '')].map((each) => each.split('/')[0])));
  return documentsOf(tree).flatMap(([path, markdown]) => {
    const isThere = (cited: string): boolean => {
      const bases = ['', 'src/', `${posix.dirname(path)}/`];
      return (
        cited.split('/').some((part) => NOT_SOURCE.has(part)) ||
        bases.some((base) => ENDINGS.some((ending) => exists(tree, posix.join(base, cited + ending))))
      );
    };
    return [...withoutFences(markdown).matchAll(/`([\w@.-]+(?:\/[\w@.-]+)*\/?)`/g)]
      .map(([, cited = '']) => cited)
      .filter((cited) =>
        cited.includes('/')
          ? roots.has(cited.split('/')[0] ?? '') && !isThere(cited)
          : /^[\w-][\w.-]*\.(?:[cm]?ts|[cm]?js|md|sql|json|conf|cfg|lua|ya?ml|sh)$/.test(cited) &&
            !names.has(cited) &&
            !isWritten(cited),
      )
      .map((cited) => `${path} cites ${cited}`);
  });
};

/** Comments and messages count too: a reader with only the checkout must be able to open what is cited. */
const citedDocumentsExist: Rule = (tree) => {
  const paths = [...tree.keys()];
  return [...tree]
    .filter(([path]) => path !== OWN_PATH && path !== 'CHANGELOG.md' && !/lock\.json$/.test(path))
    .flatMap(([path, text]) => [
      ...[...text.matchAll(/(?<![\w{*}])((?:[\w@.-]+\/)*[\w-]+\.md)\b/g)]
        .map(([, cited = '']) => cited)
        .filter(
          (cited) => !paths.some((each) => each === cited || each.endsWith(`/${cited.replace(/^(?:\.\.?\/)+/, '')}`)),
        )
        .filter((cited) => !exists(tree, posix.join(posix.dirname(path), cited)))
        .map((cited) => `${path} cites ${cited}`),
      ...[...text.matchAll(/\bADR (\d+)\b/g)]
        .map(([, number = '']) => number)
        .filter((number) => !paths.some((each) => each.startsWith(`docs/adr/${number.padStart(4, '0')}-`)))
        .map((number) => `${path} cites ADR ${number}`),
    ]);
};

const scriptsExist: Rule = (tree) => {
  const scripts = new Set(
    [...tree]
      .filter(([path]) => posix.basename(path) === 'package.json')
      .flatMap(([, text]) => Object.keys((JSON.parse(text) as { readonly scripts?: object }).scripts ?? {})),
  );
  return documentsOf(tree).flatMap(([path, markdown]) =>
    [...markdown.matchAll(/\bnpm (?:run (?:--silent |-s )?([\w:-]+)|(test|start)\b)/g)]
      .map(([, script, lifecycle]) => script ?? lifecycle ?? '')
      .filter((script) => !scripts.has(script))
      .map((script) => `${path} runs the script ${script}`),
  );
};

/** A document names a test by `path` “part of a title”, “part of another”. */
const citedTitlesExist: Rule = (tree) =>
  documentsOf(tree).flatMap(([path, markdown]) =>
    citedTitlesIn(markdown).flatMap(({ file, phrases }) => {
      const text = ENDINGS.map((ending) => tree.get(file + ending)).find((each) => each !== undefined) ?? '';
      return phrases.filter((phrase) => !text.includes(phrase)).map((phrase) => `${path} names “${phrase}” in ${file}`);
    }),
  );

function citedTitlesIn(markdown: string): { readonly file: string; readonly phrases: readonly string[] }[] {
  const text = markdown.replace(/\s+/g, ' ');
  return [...text.matchAll(/`((?:test|src|packages)\/[\w./-]+)`((?:,? “[^”]+”)+)/g)].map(
    ([, file = '', quoted = '']) => ({
      file,
      phrases: [...quoted.matchAll(/“([^”]+)”/g)].map(([, phrase = '']) => phrase),
    }),
  );
}

/** Programs in other languages than ours have constants and settings of their own. */
function withoutPrograms(markdown: string): string {
  return markdown.replace(/^```(?:js|python|go|rust|java)\n[^]*?^```$/gm, '');
}

/**
 * Names in capitals with an underscore, in code. Each is a variable of ours, set in the same document, or in the text
 * of some other file.
 */
const variablesExist: Rule = (tree) => {
  const ours = configVariableList.flatMap((variable) => [variable.name, fileVariableName(variable)]);
  const texts = [...tree].filter(([path]) => !path.endsWith('.md') && path !== OWN_PATH).map(([, text]) => text);
  const known = new Set([...ours, ...NAMES_OF_OTHERS, ...texts.flatMap((text) => text.match(NAME_IN_CAPITALS) ?? [])]);
  return documentsOf(tree).flatMap(([path, markdown]) => {
    const assigned = new Set([...markdown.matchAll(/^(?:export )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = '']) => name));
    const spans = [...withoutPrograms(markdown).matchAll(/^ *```[^]*?^ *```$|`[^`\n]+`/gm)].map(([span]) => span);
    const named = spans.flatMap((span) => [
      ...(span.match(NAME_IN_CAPITALS) ?? []).filter((name) => name.includes('_')),
      ...[...span.matchAll(/^`([A-Z][A-Z0-9]+)=/g)].map(([, name = '']) => name),
    ]);
    return [...new Set(named)]
      .filter((name) => !known.has(name) && !assigned.has(name))
      .map((name) => `${path} names the variable ${name}`);
  });
};

/** Every document can be reached from an index: that of its folder, or docs/README.md. */
const documentsAreListed: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => /^docs\/.*\.md$/.test(path) && posix.basename(path) !== 'README.md')
    .filter((path) => !(tree.get(`${posix.dirname(path)}/README.md`) ?? '').includes(`(${posix.basename(path)}`))
    .filter((path) => !(tree.get('docs/README.md') ?? '').includes(`(${posix.relative('docs', path)}`))
    .map((path) => `${path} is in no index`);

const documentsAreShort: Rule = (tree) =>
  Object.entries(MOST_LINES)
    .map(([path, most]) => ({ path, most, lines: (tree.get(path) ?? '').trimEnd().split('\n').length }))
    .filter(({ lines, most }) => lines > most)
    .map(({ path, lines, most }) => `${path} has ${String(lines)} lines, ${String(most)} at most`);

/** Counts as `npm run sbom` does: every package that a production install has, of every platform. */
const packagesAreCounted: Rule = (tree) => {
  const { packages } = JSON.parse(tree.get('package-lock.json') ?? '{"packages":{}}') as {
    readonly packages: Readonly<
      Record<string, { readonly name?: string; version?: string; link?: boolean; dev?: boolean }>
    >;
  };
  const shipped = Object.entries(packages)
    .filter(([path, { link, dev }]) => path !== '' && link !== true && dev !== true)
    .map(([path, { name, version = '' }]) => `${name ?? path.split('node_modules/').at(-1) ?? ''}@${version}`);
  const count = String(new Set(shipped).size);
  return documentsOf(tree).flatMap(([path, markdown]) =>
    [...markdown.replace(/\s+/g, ' ').matchAll(/\b(\d+) packages that a production install/g)]
      .filter(([, claimed]) => claimed !== count)
      .map(([, claimed = '']) => `${path} counts ${claimed} packages of ${count}`),
  );
};

/** Words that send a reader to a document outside the tree, or make the reader read a sentence twice. */
const ABSENT = /\.\.\/shared\/|DESIGN section|API\.md|GATEWAYS\.md|whoever|somebody|is not to be had|cannot be told/;

const registerIsPlain: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path !== OWN_PATH)
    .flatMap(([path, text]) =>
      text
        .replace(/“[^”]*”/g, '')
        .split('\n')
        .flatMap((line) => ABSENT.exec(line)?.slice(0, 1) ?? [])
        .map((words) => `${path} says “${words}”`),
    );

/** The README's table of speed has figures of docs/benchmarks.md, which has the tables of the last whole run. */
const speedIsAsMeasured: Rule = (tree) => {
  const results = tree.get('docs/benchmarks.md') ?? '';
  const figures = new Set(results.match(/\d[\d,.]*/g) ?? []);
  const section = (tree.get('README.md') ?? '').split(/^## /m).find((part) => part.startsWith('How fast it is')) ?? '';
  const rows = new Set(rowsOf(results));
  return [
    ...[...section.matchAll(/(?<=\| *)\d[\d,]+(?= *\|)/g)]
      .filter(([figure]) => !figures.has(figure))
      .map(([figure]) => `README.md claims ${figure}`),
    ...rowsOf(tree.get('bench/results/latest.md') ?? '')
      .filter((row) => !rows.has(row))
      .map((row) => `docs/benchmarks.md lacks ${row}`),
  ];
};

/** Rows of tables, without what only aligns or emphasises. */
function rowsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^\| *[^|\s:-].*$/gm)].map(([row]) => row.replace(/[\s*-]/g, ''));
}

function readTree(): Tree {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const tree = new Map<string, string>();
  const read = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory() && !NOT_SOURCE.has(entry.name)) {
        read(path);
      } else if (entry.isFile()) {
        tree.set(path, readFileSync(join(root, path), 'utf8'));
      }
    }
  };
  read('');
  return tree;
}

describe('a document', () => {
  const tree = readTree();

  it('is found by the rules', () => {
    const paths = documentsOf(tree).map(([path]) => path);
    expect(paths).toEqual(expect.arrayContaining(['README.md', 'docs/benchmarks.md', 'gateways/nginx/README.md']));
    expect(
      citedTitlesIn(
        documentsOf(tree)
          .map(([, text]) => text)
          .join('\n'),
      ).length,
    ).toBeGreaterThan(60);
  });

  it.each<[string, Rule, Readonly<Record<string, string>>, string[]]>([
    [
      'links to files and headings that exist',
      linksLead,
      {
        'README.md':
          '# A\n## The `b` of C, and more\n[1](#the-b-of-c-and-more) [2](docs/a.md#x) [3](docs/b.md) [4](#no) [5](https://b.org/c.md)',
        'docs/a.md': '```\n# x\n```\n[6](../README.md#a) [7](../src/)',
        'src/a.ts': '',
      },
      ['README.md links to docs/a.md#x', 'README.md links to docs/b.md', 'README.md links to #no'],
    ],
    [
      'cites files that exist',
      citedFilesExist,
      {
        'docs/a.md': '`users/a.ts`, `a.ts`, `src/users/a`, `src/users/`, `test/a`, `text/html`, `e.g.`',
        'docs/b.md': '`users/b.ts`, `b.ts`, `src/users/b`, `src/b/`, `test/b`',
        'src/users/a.ts': '',
        'test/a.e2e-spec.ts': '',
      },
      [
        'docs/b.md cites users/b.ts',
        'docs/b.md cites b.ts',
        'docs/b.md cites src/users/b',
        'docs/b.md cites src/b/',
        'docs/b.md cites test/b',
      ],
    ],
    [
      'is in the tree when a file cites it',
      citedDocumentsExist,
      {
        'src/a.ts': '// docs/a.md, ADR 1; DESIGN.md, ADR 2',
        'docs/a.md': '[b](../b.md) ../a.md latest.{md,json}',
        'docs/adr/0001-a.md': '',
      },
      ['src/a.ts cites DESIGN.md', 'src/a.ts cites ADR 2', 'docs/a.md cites ../b.md'],
    ],
    [
      'runs scripts that exist',
      scriptsExist,
      {
        'package.json': '{"scripts":{"a:b":"","test":""}}',
        'docs/a.md': '`npm run a:b -- c`, `npm run --silent d`, `npm test`\n```sh\nnpm start\n```',
      },
      ['docs/a.md runs the script d', 'docs/a.md runs the script start'],
    ],
    [
      'names tests by titles that exist',
      citedTitlesExist,
      {
        'docs/a.md': 'Held by `test/a` “holds\n  one”, “holds two”; `src/b.spec.ts` “three”, `test/c` “four”.',
        'test/a.e2e-spec.ts': "it('holds one thing')",
        'src/b.spec.ts': "it('three')",
      },
      ['docs/a.md names “holds two” in test/a', 'docs/a.md names “four” in test/c'],
    ],
    [
      'names environment variables that exist',
      variablesExist,
      {
        'docs/a.md':
          'AN_ACRONYM `JWT_ISSUER` `AUTH_SECRET_FILE=x` `TEST_ONE` `JWT_ISUER` `CHILDREN=2`\n```sh\nA_URL=1\necho $A_URL $B_URL\n```',
        'test/a.ts': 'process.env.TEST_ONE',
      },
      [
        'docs/a.md names the variable JWT_ISUER',
        'docs/a.md names the variable CHILDREN',
        'docs/a.md names the variable B_URL',
      ],
    ],
    [
      'is listed in the index of its folder or of all documents',
      documentsAreListed,
      {
        'docs/README.md': '[A](a.md) [E](d/e.md)',
        'docs/a.md': '',
        'docs/b.md': '',
        'docs/adr/README.md': '',
        'docs/adr/0001-c.md': '',
        'docs/d/e.md': '',
      },
      ['docs/b.md is in no index', 'docs/adr/0001-c.md is in no index'],
    ],
    [
      'stays within its number of lines',
      documentsAreShort,
      { 'README.md': 'line\n'.repeat(180), 'SECURITY.md': 'line\n'.repeat(91) },
      ['SECURITY.md has 91 lines, 90 at most'],
    ],
    [
      'is written in plain words, and so is every other file',
      registerIsPlain,
      {
        'src/a.ts': '// DESIGN section 4, openapi.md\n// whoever it is\n// ../shared/b',
        'docs/a.md': 'It said “cannot be told”, and that is not to be had.\nSee API.md.',
      },
      [
        'src/a.ts says “DESIGN section”',
        'src/a.ts says “whoever”',
        'src/a.ts says “../shared/”',
        'docs/a.md says “is not to be had”',
        'docs/a.md says “API.md”',
      ],
    ],
    [
      'is as fast as measured',
      speedIsAsMeasured,
      {
        'README.md': '## How fast it is\n| a | 1,234 | 567 |\n| b | 1,235 |   |\n## More\n| c | 89 |',
        'docs/benchmarks.md': '| a | 1,234 (1,000–1,300) | **567** |',
        'bench/results/latest.md': '| --- | ---: | ---: |\n| a | 1,234 (1,000–1,300) | 567 |\n| b | 12 | 3 |',
      },
      ['README.md claims 1,235', 'docs/benchmarks.md lacks |b|12|3|'],
    ],
    [
      'counts the packages of a production install',
      packagesAreCounted,
      {
        'package-lock.json': JSON.stringify({
          packages: {
            '': {},
            'node_modules/a': { version: '1.0.0' },
            'node_modules/b/node_modules/a': { version: '1.0.0' },
            'node_modules/b': { version: '1.0.0', dev: true },
            'node_modules/c': { link: true },
            'packages/c': { name: 'c', version: '1.0.0' },
          },
        }),
        'docs/a.md': 'the 2 packages that a production\ninstall has, the 3 packages that a production install has',
      },
      ['docs/a.md counts 3 packages of 2'],
    ],
  ])('%s', (_guarantee, rule, sample, expected) => {
    expect(rule(new Map(Object.entries(sample)))).toEqual(expected);
    expect(rule(tree)).toEqual([]);
  });
});

describe('the service', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly scripts: { readonly start: string };
  };
  // In a checkout `scripts/run.mjs` builds what is stale, and then loads the same file.
  const expected = scripts.start.replace(/^exec /, '').replace(/scripts\/run\.mjs main\.js$/, 'dist/main.js');

  it('is started by the image with the arguments of `npm start` (ADR 16)', () => {
    const command =
      readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8')
        .split('\nCMD ')
        .at(-1) ?? '';
    expect((JSON.parse(command) as string[]).join(' ')).toBe(expected);
  });

  it('is started by systemd with the arguments of `npm start` (ADR 16)', () => {
    const unit = readFileSync(new URL('../deploy/systemd/ratchet@.service', import.meta.url), 'utf8');
    const [, command = ''] = /^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit) ?? [];
    expect(command).toBe(expected);
  });
});
