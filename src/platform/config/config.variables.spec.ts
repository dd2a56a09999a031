import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

import { describe, expect, it } from 'vitest';

import { configVariableList } from './config.variables.js';

const example = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8');

describe('the list of variables', () => {
  it('names each variable once', () => {
    const names = configVariableList.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  it.each(configVariableList.map((variable) => [variable.name, variable] as const))(
    'gives %s either a default that its own parser accepts or says what its absence means',
    (_name, variable) => {
      if (variable.default === undefined) {
        expect(variable.whenUnset).toMatch(/\w/);
      } else {
        expect(variable.parser.parse(variable.default)).not.toBeUndefined();
        expect(variable.whenUnset).toBeUndefined();
      }
    },
  );

  it('gives no secret a default, because a default secret is everybody’s', () => {
    const secrets = configVariableList.filter(({ isSecret }) => isSecret);
    expect(secrets.map(({ name }) => name)).toEqual([
      'DATABASE_URL',
      'DATABASE_DIRECT_URL',
      'AUTH_SECRET',
      'AUTH_SECRET_ACCEPTED',
      'REDIS_URL',
    ]);
    expect(secrets.filter((variable) => variable.default !== undefined)).toEqual([]);
  });
});

describe('.env.example', () => {
  const blocks = example.trimEnd().split('\n\n').slice(1);

  it('holds every variable of the list and no other, with meaning and default', () => {
    expect(blocks).toEqual(
      configVariableList.map((variable) => {
        const whenUnset = variable.whenUnset === undefined ? '' : ` Unset: ${variable.whenUnset}.`;
        return `# ${variable.meaning}${whenUnset}\n# Accepts ${variable.parser.accepts}.\n# ${variable.name}=${variable.default ?? ''}`;
      }),
    );
  });

  it('changes nothing when it is copied as it is', () => {
    expect(Object.keys(parseEnv(example))).toEqual([]);
  });
});
