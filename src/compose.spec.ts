import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';

interface Service {
  readonly '<<'?: Partial<Service>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly build?: string | { readonly context: string; readonly target?: string; readonly dockerfile?: string };
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
}

const text = readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8');
const { services } = load(text) as { readonly services: Readonly<Record<string, Service>> };

function volumesOf(name: string): string[] {
  return (services[name]?.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
}

describe('the Dockerfile', () => {
  const stages = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8').split(/^(?=FROM )/m);

  it('has nothing of the test kit in the stage that is built by default, or in one that this copies from', () => {
    const last = stages.at(-1) ?? '';
    expect([...last.matchAll(/--from=(\w+)/g)].map(([, name]) => name)).toEqual(['build', 'build', 'build']);
    const copied = [...last.matchAll(/^COPY .*$/gm)].map(([line]) => line);
    expect(copied).toEqual([
      'COPY --from=build /app/package.json ./',
      'COPY --from=build /app/node_modules node_modules',
      'COPY --from=build /app/dist dist',
    ]);
    // Development dependencies, the kit among them, leave node_modules here.
    expect(stages.find((stage) => stage.includes(' AS build'))).toContain('npm prune --omit=dev');
  });
});

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

  it('starts the test kit only by its profile, reachable from this machine alone, and keeps nothing of it', () => {
    const kit = services['ratchet-test'];
    expect(kit).toMatchObject({ profiles: ['test'], ports: ['127.0.0.1:4010:4010'], tmpfs: ['/tmp'] });
    expect(kit?.volumes).toBeUndefined();
    const others = Object.entries(services).filter(
      ([, { build }]) => typeof build === 'object' && build.target === 'test',
    );
    expect(others.map(([name]) => name)).toEqual(['ratchet-test']);
  });
});
