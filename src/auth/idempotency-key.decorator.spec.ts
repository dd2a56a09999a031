import { describe, expect, it } from 'vitest';
import { ValidationFailedError } from '../platform/common/domain.errors.js';
import { readIdempotencyKey } from './idempotency-key.decorator.js';

describe('readIdempotencyKey', () => {
  it('takes 22 to 128 visible ASCII characters as they are, and none for none', () => {
    expect(readIdempotencyKey(undefined)).toBeUndefined();
    for (const key of ['x'.repeat(22), 'x'.repeat(128), `!~${'"'.repeat(20)}`]) {
      expect(readIdempotencyKey(key)).toBe(key);
    }
  });

  it.each([
    '',
    'x'.repeat(21),
    'x'.repeat(129),
    `${'x'.repeat(22)} `,
    `${'x'.repeat(11)}, ${'x'.repeat(11)}`,
    `${'x'.repeat(22)}\u007f`,
    `${'x'.repeat(22)}\n`,
    `${'x'.repeat(22)}é`,
    ['x'.repeat(22)],
  ])('refuses %j', (header) => {
    expect(() => readIdempotencyKey(header)).toThrow(ValidationFailedError);
  });
});
