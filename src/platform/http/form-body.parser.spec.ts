import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { MalformedRequestError, ValidationFailedError } from '../common/domain.errors.js';
import { parseForm } from './form-body.parser.js';

const parse = (text: string): Record<string, string> => Object.fromEntries(parseForm(Buffer.from(text)));

describe('a form', () => {
  it.each([
    ['', {}],
    ['a=1&b=2', { a: '1', b: '2' }],
    ['a=1%2B1+%3D+2', { a: '1+1 = 2' }],
    ['a=b=c', { a: 'b=c' }],
    ['a=%C3%A9&b=é', { a: 'é', b: 'é' }],
    ['&a=1&&', { a: '1' }],
    ['%61=1', { a: '1' }],
  ])('is read as browsers read it: %j', (text, expected) => {
    expect(parse(text)).toEqual(expected);
  });

  it('treats a parameter without a value as one that was not sent', () => {
    expect(parse('a=&b&c=1')).toEqual({ c: '1' });
  });

  it('has no parameters but those that were sent', () => {
    const form = parseForm(Buffer.from('__proto__=1&constructor=2'));
    expect([...form]).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
    expect(form.get('toString')).toBeUndefined();
  });

  it.each(['a=1&a=2', 'a=1&a=', 'a&a', 'a=1&%61=1', '__proto__=1&__proto__=1'])('has none twice: %j', (text) => {
    expect(() => parse(text)).toThrow(ValidationFailedError);
  });

  it.each(['a=%', 'a=%z1', '%=1', 'a=%ff', 'a=%c0%80', 'a=%ed%a0%80'])('has no broken escapes: %j', (text) => {
    expect(() => parse(text)).toThrow(MalformedRequestError);
  });

  it('is UTF-8', () => {
    expect(() => parseForm(Buffer.from([0x61, 0x3d, 0xff]))).toThrow(MalformedRequestError);
  });

  it('has at most 32 parameters', () => {
    const fields = Array.from({ length: 33 }, (_, index) => `p${index}=1`);
    expect(parseForm(Buffer.from(fields.slice(1).join('&'))).size).toBe(32);
    expect(() => parse(fields.join('&'))).toThrow(ValidationFailedError);
  });

  it('reads back whatever a client encodes', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 32 }), (pairs) => {
        expect([...parseForm(Buffer.from(new URLSearchParams(pairs).toString()))]).toEqual(pairs);
      }),
    );
  });
});
