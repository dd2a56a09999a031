import { distance } from 'fastest-levenshtein';

import { type Environment, textOf } from './config.source.js';
import { configVariableList, fileVariableName } from './config.variables.js';

const PREFIX = 'RATCHET_';

/** Shorter names (`HOST`, `PORT`) have too many neighbours of other programs. */
const MIN_LENGTH_FOR_ONE_MISTAKE = 8;
const MIN_LENGTH_FOR_TWO_MISTAKES = 15;

/** One letter away from one of ours, yet a well-known name of other programs. */
const namesakes = new Set(['OAUTH_SECRET']);

/**
 * What other programs call the same thing. In a shared environment such a name may well be a neighbour's, so it counts
 * only while ours is unset: then somebody may think that it is set. JWT_SECRET is the case that matters, because
 * whoever sets it, or replaces it after a leak, must not believe that it protects anything here.
 */
const synonyms = new Map([
  ['JWT_SECRET', 'AUTH_SECRET'],
  ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
]);

const documentedNames = configVariableList.flatMap((variable) =>
  variable.isSecret ? [variable.name, fileVariableName(variable)] : [variable.name],
);

/** `ACCESS_TOKEN_TTL` and the like, each with the name it stands for. */
const namesWithoutUnit = new Map(
  documentedNames.filter((name) => name.endsWith('_SECONDS')).map((name) => [name.replace(/_SECONDS$/, ''), name]),
);

/** Every spelling that a small mistake is measured against, with the name it stands for. */
const spellings = new Map([...documentedNames.map((name) => [name, name] as const), ...namesWithoutUnit]);

const plainNames = new Set(configVariableList.filter((variable) => !variable.isSecret).map(({ name }) => name));

/**
 * Names that are not read although whoever set them expects it: a safe limit that is misspelt would otherwise be the
 * default without a word. Names of other programs raise no alarm, so only close resemblance counts.
 */
export function findMisspellings(environment: Environment): readonly string[] {
  return Object.keys(environment)
    .filter((name) => /^\w+$/.test(name) && !documentedNames.includes(name))
    .flatMap((name) => {
      const intended = intendedName(name, environment);
      return intended === undefined ? [] : [`${name} is not read; did you mean ${intended}?`];
    });
}

function intendedName(name: string, environment: Environment): string | undefined {
  const text = textOf(environment, name);
  if (text === undefined || namesakes.has(name)) {
    return undefined;
  }
  const synonym = synonyms.get(name);
  if (synonym !== undefined) {
    return isSet(environment, synonym) ? undefined : synonym;
  }
  if (!name.startsWith(PREFIX)) {
    return closestName(name.toUpperCase());
  }
  // Kubernetes tells every pod RATCHET_PORT=tcp://10.0.0.1:3000 where a Service is called ratchet.
  if (/^(tcp|udp|sctp):\/\//.test(text)) {
    return undefined;
  }
  const unprefixed = name.slice(PREFIX.length);
  return documentedNames.includes(unprefixed) ? unprefixed : closestName(unprefixed);
}

function closestName(spelling: string): string | undefined {
  const withoutFile = spelling.replace(/_FILE$/, '');
  if (spelling !== withoutFile && plainNames.has(withoutFile)) {
    return withoutFile;
  }
  const withoutUnit = spelling.replace(/_(MS|MILLISECONDS|S|SECS?|MINS?|MINUTES|HOURS|DAYS)$/, '');
  return namesWithoutUnit.get(withoutUnit) ?? [...spellings].find(([candidate]) => resembles(spelling, candidate))?.[1];
}

function resembles(spelling: string, candidate: string): boolean {
  if (candidate.length < MIN_LENGTH_FOR_ONE_MISTAKE) {
    return false;
  }
  const mistakes = distance(spelling, candidate);
  const isSwap = mistakes === 2 && sortedLetters(spelling) === sortedLetters(candidate);
  return mistakes <= (candidate.length < MIN_LENGTH_FOR_TWO_MISTAKES ? 1 : 2) || isSwap;
}

function sortedLetters(text: string): string {
  return Array.from(text).sort().join('');
}

function isSet(environment: Environment, name: string): boolean {
  return [name, `${name}_FILE`].some((form) => textOf(environment, form) !== undefined);
}
