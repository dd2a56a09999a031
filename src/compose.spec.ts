import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';

interface Service {
  readonly '<<'?: Partial<Service>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const text = readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8');
const { services } = load(text) as { readonly services: Readonly<Record<string, Service>> };

function volumesOf(name: string): string[] {
  return (services[name]?.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
}

describe('docker-compose.yml', () => {
  it.each(Object.entries(services))(
    'gives %s no capability, privilege or file system that it does not name',
    (_, service) => {
      expect({ ...service['<<'], ...service }).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    },
  );

  it('keeps AUTH_SECRET from the database, and the passwords of other roles from the instances', () => {
    expect(volumesOf('postgres')).toEqual(['postgres', 'database-secrets']);
    expect(volumesOf('auth')).toEqual(['secrets']);
    expect(services['auth']?.environment?.['DATABASE_URL_FILE']).toBe('/secrets/service-url');
  });
});
