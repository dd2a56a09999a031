import { readdirSync } from 'node:fs';

export const BUILT_IN_LOCALES: readonly string[] = ['en', 'ko'];

/** A language, possibly with more subtags, in lower case, as folders of templates are named: `ko`, `pt-br`, `zh-hant`. */
export const LOCALE = /^[a-z]{2,3}(?:-[a-z0-9]{2,8})*$/;

const MAX_HEADER_CHARACTERS = 200;

/** RFC 9110 §12.4.2: three decimals at most. */
const RANGE = /^\s*([A-Za-z0-9-]{2,35})\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?$/;

/**
 * Chooses the language of a user's mails: the lookup of RFC 4647 §3.4 over the `Accept-Language` header (RFC 9110
 * §12.5.4). What is not a language range in it is passed over, and so is `*`, which names no language.
 *
 * @param available in lower case
 * @returns one of `available`, or undefined when the header names none of them
 */
export function pickLocale(
  acceptLanguage: string | undefined,
  available: readonly string[] = BUILT_IN_LOCALES,
): string | undefined {
  return (acceptLanguage ?? '')
    .slice(0, MAX_HEADER_CHARACTERS)
    .split(',')
    .flatMap((part) => {
      const [, range, weight = '1'] = RANGE.exec(part) ?? [];
      return range === undefined ? [] : [{ range, weight: Number(weight) }];
    })
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight)
    .map(({ range }) => lookUp(range, available))
    .find((locale) => locale !== undefined);
}

/** @returns the languages of the built-in templates and of an operator's folder, which is passed over if it cannot be read */
export function localesOf(templatesDir: string | undefined): readonly string[] {
  try {
    const names = templatesDir === undefined ? [] : readdirSync(templatesDir);
    return [...new Set([...BUILT_IN_LOCALES, ...names.filter((name) => LOCALE.test(name))])];
  } catch {
    return BUILT_IN_LOCALES;
  }
}

/** Cuts subtags off the end until the rest is available: `zh-hant-tw`, `zh-hant`, `zh`. */
export function lookUp(range: string, available: readonly string[]): string | undefined {
  const subtags = range.toLowerCase().split('-');
  return subtags
    .map((_, index) => subtags.slice(0, subtags.length - index).join('-'))
    .find((locale) => available.includes(locale));
}
