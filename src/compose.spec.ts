import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  readonly command?: readonly string[];
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

describe('the gateway of docker-compose.yml', () => {
  const recipe = readFileSync(new URL('../examples/spa/Dockerfile', import.meta.url), 'utf8');

  it('is nginx with the built application and its locations, and with nothing that built it', () => {
    const [, last = ''] = recipe.split(/^(?=FROM nginx)/m);
    expect([...last.matchAll(/^[A-Z]+ .*$/gm)].map(([line]) => line)).toEqual([
      'FROM nginx:1.29-bookworm',
      'COPY examples/spa/gateway.conf /etc/nginx/spa.conf',
      'COPY --from=build /app/examples/spa/dist /srv/spa',
    ]);
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

  it('opens at a page whose origin keeps its sessions in cookies, and is the issuer', () => {
    const environment = services['auth']?.environment ?? {};
    expect(environment).toMatchObject({
      // The service refuses cookies over plain HTTP in production.
      NODE_ENV: '${NODE_ENV:-development}',
      JWT_ISSUER: '${JWT_ISSUER:-http://localhost:8080}',
      COOKIE_ORIGINS: '${COOKIE_ORIGINS:-http://localhost:8080}',
    });
    expect(services['gateway']).toMatchObject({
      ports: ['127.0.0.1:8080:8080'],
      build: { dockerfile: 'examples/spa/Dockerfile' },
    });
  });

  it('sends mail to a catcher that only this machine reaches, and the gateway does not lead to it', () => {
    expect(services['auth']?.environment).toMatchObject({
      MAIL_URL: '${MAIL_URL:-smtp://mail:1025}',
      ACCOUNT_URL: '${ACCOUNT_URL:-http://localhost:8080}',
    });
    expect(services['mail']).toMatchObject({
      build: { dockerfile: 'examples/mail-catcher/Dockerfile' },
      ports: ['127.0.0.1:8025:8025'],
    });
    const gateway = ['../gateways/nginx/ratchet.conf', '../examples/spa/gateway.conf'].map((file) =>
      readFileSync(new URL(file, import.meta.url), 'utf8'),
    );
    expect(gateway.join('')).not.toMatch(/8025|mail:/);
  });

  it.each([
    ['finds containers that are added later', 'an nginx that knows `resolve`', 0, 2],
    ['starts as well', 'an older nginx', 1, 0],
  ])('has a gateway that serves the application and %s, with %s', (...[, , exitCodeOfTest, resolvedServers]) => {
    const configuration = gatewayConfiguration(exitCodeOfTest);
    expect(configuration.match(/^ {2}include spa\.conf;$/gm)).toHaveLength(1);
    expect(configuration).toMatch(/server \{\n {2}listen 8080;\n {2}include spa\.conf;\n/);
    expect(configuration.match(/^ *server (?:auth|orders):\d+ resolve;$/gm) ?? []).toHaveLength(resolvedServers);
  });
});

/** Runs what the gateway's container runs, over a folder of its own and a stand-in for nginx. */
function gatewayConfiguration(exitCodeOfTest: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-gateway-'));
  try {
    mkdirSync(join(folder, 'conf.d'));
    cpSync(fileURLToPath(new URL('../gateways/nginx/ratchet.conf', import.meta.url)), join(folder, 'ratchet.conf'));
    writeFileSync(join(folder, 'nginx'), `#!/bin/sh\n[ "$1" != -t ] || exit ${exitCodeOfTest}\n`);
    chmodSync(join(folder, 'nginx'), 0o755);
    const [shell = '', flags = '', script = ''] = services['gateway']?.command ?? [];
    const here = script.replaceAll('/tmp/', `${folder}/`).replace('cd /etc/nginx', `cd ${folder}`);
    const { status, stderr } = spawnSync(shell, [flags, `PATH=${folder}:$PATH\n${here}`], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return readFileSync(join(folder, 'conf.d/default.conf'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}
