import { describe, expect, it } from 'vitest';
import { Type } from 'class-transformer';
import { IsString, MaxLength, ValidateNested } from 'class-validator';
import { type FieldError, ValidationFailedError } from '../common/domain.errors.js';
import { BodyValidationPipe } from './validation.pipe.js';

class InnerDto {
  @MaxLength(3)
  @IsString()
  readonly name!: string;
}

class OuterDto {
  @ValidateNested({ each: true })
  @Type(() => InnerDto)
  readonly items!: InnerDto[];
}

async function errorsOf(body: unknown): Promise<readonly FieldError[]> {
  try {
    await new BodyValidationPipe().transform(body, { type: 'body', metatype: OuterDto });
  } catch (error) {
    if (error instanceof ValidationFailedError) {
      return error.errors;
    }
    throw error;
  }
  return [];
}

describe('BodyValidationPipe', () => {
  it('lets a body of the documented shape through', async () => {
    expect(await errorsOf({ items: [{ name: 'abc' }] })).toEqual([]);
  });

  it('names nested members by their dotted path, with one message each', async () => {
    expect(await errorsOf({ items: [{ name: 'abc' }, { name: 7, extra: 1 }] })).toEqual(
      expect.arrayContaining([
        { field: 'items.1.name', message: 'must be a string' },
        { field: 'items.1.extra', message: 'is not a member of this request' },
      ]),
    );
  });

  it.each(['toString', 'constructor', 'hasOwnProperty', '__proto__', 'prototype', '__defineGetter__'])(
    'finds a member %s unknown, although objects or classes have something of that name',
    async (name) => {
      expect(await errorsOf(JSON.parse(`{"items":[],"${name}":1}`))).toEqual([
        { field: name, message: 'is not a member of this request' },
      ]);
    },
  );

  it('names a member without a name by its empty name', async () => {
    expect(await errorsOf({ items: [], '': 1 })).toEqual([{ field: '', message: 'is not a member of this request' }]);
  });

  it('keeps the name of an unknown member short', async () => {
    expect(await errorsOf({ items: [], ['x'.repeat(5000)]: 1 })).toEqual([
      { field: 'x'.repeat(100), message: 'is not a member of this request' },
    ]);
  });
});
