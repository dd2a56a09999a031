import { type FieldError, validationFailed } from './problems.mjs';

type TypeName = 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'null';

/** The part of JSON Schema that the bodies of `/test` need: what checks them also describes them. */
export interface Schema {
  readonly type: TypeName | readonly TypeName[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** What the members of an object without `properties` are. One with `properties` has no others. */
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: 'uuid' | 'date-time';
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly example?: unknown;
}

/** A schema whose values are of this type, as far as the compiler knows. */
export interface BodySchema<T> extends Schema {
  readonly returns?: T;
}

const FORMATS: Readonly<Record<NonNullable<Schema['format']>, (text: string) => boolean>> = {
  uuid: (text) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text),
  'date-time': (text) => /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
};

/**
 * Returns a body that is as the schema says.
 *
 * @throws TestProblem that names every member that is wrong, and what would be right
 */
export function readBody<T>(schema: BodySchema<T>, body: unknown): T {
  const errors = check(schema, body, '');
  if (errors.length > 0) {
    throw validationFailed(errors);
  }
  return body as T;
}

function check(schema: Schema, value: unknown, field: string): readonly FieldError[] {
  const types = [schema.type].flat() as readonly TypeName[];
  if (!types.some((type) => isOfType(type, value))) {
    return [{ field, message: `must be ${expectation(schema)}` }];
  }
  if (Array.isArray(value)) {
    const { items, minItems = 0, maxItems = Infinity } = schema;
    return value.length < minItems || value.length > maxItems
      ? [{ field, message: `must have ${minItems} to ${maxItems} elements` }]
      : value.flatMap((item, index) => (items === undefined ? [] : check(items, item, join(field, String(index)))));
  }
  if (typeof value === 'object' && value !== null) {
    return checkMembers(schema, value as Readonly<Record<string, unknown>>, field);
  }
  return isInBounds(schema, value) ? [] : [{ field, message: `must be ${expectation(schema)}` }];
}

function checkMembers(schema: Schema, value: Readonly<Record<string, unknown>>, field: string): readonly FieldError[] {
  const { properties, required = [], additionalProperties } = schema;
  const known = Object.keys(properties ?? {});
  return [
    ...required
      .filter((name) => value[name] === undefined)
      .map((name) => ({ field: join(field, name), message: 'must be there' })),
    ...Object.entries(value).flatMap(([name, member]) => {
      const own = properties?.[name] ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined);
      if (own !== undefined) {
        return check(own, member, join(field, name));
      }
      return properties === undefined
        ? []
        : [{ field: join(field, name), message: `is not known; known are ${known.join(', ') || 'none'}` }];
    }),
  ];
}

function isOfType(type: TypeName, value: unknown): boolean {
  switch (type) {
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    case 'null':
      return value === null;
    case 'string':
    case 'number':
    case 'boolean':
      return typeof value === type;
  }
}

function isInBounds(schema: Schema, value: unknown): boolean {
  if (typeof value === 'number') {
    return value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  }
  if (typeof value !== 'string') {
    return true;
  }
  return (
    (schema.enum === undefined || schema.enum.includes(value)) &&
    (schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(value)) &&
    (schema.format === undefined || FORMATS[schema.format](value)) &&
    value.length >= (schema.minLength ?? 0) &&
    value.length <= (schema.maxLength ?? Infinity)
  );
}

function expectation(schema: Schema): string {
  if (schema.enum !== undefined) {
    return `one of ${schema.enum.join(', ')}`;
  }
  const range =
    schema.minimum === undefined ? '' : ` from ${schema.minimum} to ${schema.maximum ?? 'any number above it'}`;
  const length = schema.maxLength === undefined ? '' : ` of ${schema.minLength ?? 0} to ${schema.maxLength} characters`;
  const form = schema.format ?? (schema.pattern === undefined ? undefined : `that matches ${schema.pattern}`);
  const example = schema.example === undefined ? '' : `, such as ${JSON.stringify(schema.example)}`;
  return `${[schema.type].flat().join(' or ')}${range}${length}${form === undefined ? '' : ` (${form})`}${example}`;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
