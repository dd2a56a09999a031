import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

/** A document names a test with or without the end of its file's name. */
const ENDINGS = ['', '.e2e-spec.ts', '.spec.ts'];

interface TestReference {
  readonly path: string;
  /** Parts of titles, in quotation marks behind the path. */
  readonly phrases: readonly string[];
}

/** The tests that the tables of a Markdown text name: `path` “part of a title”, “another”. */
function testReferencesIn(markdown: string): TestReference[] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((line) => [...line.matchAll(/`((?:test|src)\/[\w./-]+)`((?:,? “[^”]+”)*)/g)])
    .map(([, path = '', quoted = '']) => ({
      path,
      phrases: [...quoted.matchAll(/“([^”]+)”/g)].map(([, phrase = '']) => phrase),
    }));
}

/** @param textOf the text of a file, empty for a folder, undefined for neither */
function brokenReferences(markdown: string, textOf: (path: string) => string | undefined): string[] {
  return testReferencesIn(markdown).flatMap(({ path, phrases }) => {
    const text = ENDINGS.map((ending) => textOf(path + ending)).find((each) => each !== undefined);
    if (text === undefined) {
      return [`${path} does not exist`];
    }
    return phrases.filter((phrase) => !text.includes(phrase)).map((phrase) => `${path} does not have “${phrase}”`);
  });
}

const root = new URL('../', import.meta.url);

function textOf(path: string): string | undefined {
  const url = new URL(path, root);
  if (!existsSync(url)) {
    return undefined;
  }
  return path.endsWith('.ts') ? readFileSync(fileURLToPath(url), 'utf8') : '';
}

describe('a table of tests', () => {
  it('is wrong where it names a file that is not there, or a title that is not in it', () => {
    const files: Readonly<Record<string, string>> = {
      'test/a.e2e-spec.ts': "it('holds one thing')",
      'src/b.ts': 'export const b = 1;',
    };
    const table = [
      '| one | `test/a` “holds one”, “holds two” |',
      '| two | `test/a.e2e-spec.ts` “holds one”; `src/b.ts`, `test/c` |',
      'Text may name `test/d`.',
    ].join('\n');
    expect(brokenReferences(table, (path) => files[path])).toEqual([
      'test/a does not have “holds two”',
      'test/c does not exist',
    ]);
  });

  it.each([
    ['SECURITY.md', 60],
    ['ARCHITECTURE.md', 15],
  ])('in %s names tests that exist', (name, fewest) => {
    const markdown = readFileSync(new URL(name, root), 'utf8');
    expect(testReferencesIn(markdown).length).toBeGreaterThanOrEqual(fewest);
    expect(brokenReferences(markdown, textOf)).toEqual([]);
  });
});

describe('the image', () => {
  it('starts the service with the arguments of `npm start` (ADR 16)', () => {
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
      readonly scripts: { readonly start: string };
    };
    const command = readFileSync(new URL('Dockerfile', root), 'utf8').split('\nCMD ').at(-1) ?? '';
    expect(`exec ${(JSON.parse(command) as string[]).join(' ')}`).toBe(scripts.start);
  });
});
