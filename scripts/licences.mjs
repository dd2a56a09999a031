import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The last `node_modules` in a path has the package that a file belongs to. */
const PACKAGE = /^\0?(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/?]+)/;

/** A bundled program inside a package names what it contains in a file of its own. */
const LICENCE_FILE = /^(?:licen[cs]e|notice|copying)|\.licen[cs]e\.txt$/i;

/** Older packages have theirs at the end of the README. */
const README_SECTION = /^#+ *licen[cs]e\b[^]*/im;

/**
 * Collects the licences of packages whose code is passed on.
 *
 * @param paths files of `node_modules`; others are left out
 * @returns a text with each package once: name, version, licence, and the licence and notice files as they are
 * @throws for a package that states no licence
 */
export function licencesOf(paths) {
  const folders = new Set(paths.map((path) => PACKAGE.exec(path)?.[1]).filter((folder) => folder !== undefined));
  return `${[...folders]
    .map(licenceOf)
    .sort()
    .join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

function licenceOf(folder) {
  const read = (file) => readFileSync(join(folder, file), 'utf8').trim();
  const { name, version, license } = JSON.parse(read('package.json'));
  const files = readdirSync(folder).sort();
  const texts = files.filter((file) => LICENCE_FILE.test(file)).map(read);
  if (texts.length === 0) {
    texts.push(
      ...files.filter((file) => /^readme/i.test(file)).flatMap((file) => README_SECTION.exec(read(file)) ?? []),
    );
  }
  if (license === undefined && texts.length === 0) {
    throw new Error(`${name} states no licence`);
  }
  return [`${name} ${version}${license === undefined ? '' : ` (${license})`}`, ...texts].join('\n\n');
}
