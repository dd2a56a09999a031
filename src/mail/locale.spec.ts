import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { BUILT_IN_LOCALES, LOCALE, localesOf, pickLocale } from './locale.js';

describe('the language of a user', () => {
  it.each([
    ['ko', 'ko'],
    ['ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7', 'ko'],
    ['en-GB', 'en'],
    ['KO', 'ko'],
    ['fr-CH, fr;q=0.9, ko;q=0.5, en;q=0.6, *;q=0.1', 'en'],
    ['ko;q=0.5,en;q=0.5', 'ko'],
    [' en ; q=0.2 ,\tko ; q=0.3 ', 'ko'],
    ['ko;q=0,en;q=0.001', 'en'],
    ['ko;q=0.000', undefined],
    ['fr,de', undefined],
    ['*', undefined],
    ['kor,enx', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('of the header %j is %s', (header, expected) => {
    expect(pickLocale(header)).toBe(expected);
  });

  it('is the most exact of those that are there', () => {
    const available = ['en', 'zh', 'zh-hant', 'pt-br'];
    expect(pickLocale('zh-Hant-TW', available)).toBe('zh-hant');
    expect(pickLocale('zh-TW', available)).toBe('zh');
    expect(pickLocale('pt-PT,pt-BR;q=0.8', available)).toBe('pt-br');
    expect(pickLocale('pt', available)).toBeUndefined();
  });

  it('can be one that an operator adds', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ratchet-locales-'));
    try {
      ['fr', 'pt-br', 'ko', 'assets', '..data'].forEach((name) => {
        mkdirSync(join(folder, name));
      });
      expect(new Set(localesOf(folder))).toEqual(new Set(['en', 'ko', 'fr', 'pt-br']));
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(localesOf(folder)).toEqual(BUILT_IN_LOCALES);
    expect(localesOf(undefined)).toEqual(BUILT_IN_LOCALES);
  });

  it('is never anything but one of those that are there, whatever the header', () => {
    const anyPart = fc.constantFrom(
      'ko',
      'en',
      ';',
      'q=',
      '0.5',
      ',',
      '-',
      '*',
      ' ',
      '\r\n',
      'ｋｏ',
      '1e9',
      '__proto__',
    );
    fc.assert(
      fc.property(
        fc.array(anyPart).map((parts) => parts.join('')),
        (header) => {
          expect([...BUILT_IN_LOCALES, undefined]).toContain(pickLocale(header));
        },
      ),
    );
    expect(pickLocale('q;'.repeat(100_000))).toBeUndefined();
    expect(['en', 'ko', 'zh-hant', 'pt-br'].every((locale) => LOCALE.test(locale))).toBe(true);
    expect(['..', 'EN', 'e', 'en_us', 'en-', 'en/x'].some((locale) => LOCALE.test(locale))).toBe(false);
  });
});
