import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCookie } from './cookie-header.js';

const NAME = '__Host-Http-ratchet-refresh';

describe('a cookie', () => {
  it.each([
    [undefined],
    [''],
    [';'],
    [NAME],
    [`${NAME};`],
    ['theme=dark'],
    [`x${NAME}=1`],
    [`${NAME}x=1`],
    [`theme=${NAME}=1`],
    [`${NAME.toLowerCase()}=1; ${NAME.toUpperCase()}=2`],
    [`theme=dark,${NAME}=1`],
    [`=${NAME}`],
  ])('is absent from %j', (header) => {
    expect(readCookie(header, NAME)).toEqual({ kind: 'absent' });
  });

  it.each([
    [`${NAME}=1`, '1'],
    [`theme=dark; ${NAME}=1; lang=en`, '1'],
    [`theme=dark;${NAME}=1;lang=en`, '1'],
    [` ${NAME} = 1 `, '1'],
    [`${NAME}=`, ''],
    [`${NAME}="1"`, '"1"'],
    [`${NAME}=a=b==`, 'a=b=='],
    [`${NAME}=%31`, '%31'],
    [`${NAME.toLowerCase()}=2; ${NAME}=1`, '1'],
  ])('in %j has its value as it is', (header, value) => {
    expect(readCookie(header, NAME)).toEqual({ kind: 'present', value });
  });

  it.each([`${NAME}=1; ${NAME}=1`, `${NAME}=; ${NAME}=1`, `${NAME}=1;a=b;${NAME} =2`])(
    'that is there twice is neither of the two: %j',
    (header) => {
      expect(readCookie(header, NAME)).toEqual({ kind: 'repeated' });
    },
  );

  it('is found among any others, and once only', () => {
    const others = fc.array(fc.stringMatching(/^[a-z_]{1,8}=[!-:<-~]{0,12}$/), { maxLength: 6 });
    fc.assert(
      fc.property(others, others, (before, after) => {
        const header = [...before, `${NAME}=1`, ...after].join('; ');
        expect(readCookie(header, NAME)).toEqual({ kind: 'present', value: '1' });
        expect(readCookie(`${header}; ${NAME}=1`, NAME)).toEqual({ kind: 'repeated' });
      }),
    );
  });
});
