import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { subset } from 'semver';

/** One entry of `packages` in the lock file. */
interface LockedPackage {
  readonly version?: string;
  readonly engines?: Readonly<Record<string, string>>;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly resolved?: string;
}

type LockedPackages = Readonly<Record<string, LockedPackage>>;

/** @returns one line per package that production installs although it excludes a Node version within `promised` */
function packagesThatExcludeNode(packages: LockedPackages, promised: string): string[] {
  return Object.entries(packages)
    .filter(([path, { dev }]) => path.includes('node_modules/') && dev !== true)
    .filter(([, { engines }]) => !subset(promised, engines?.['node'] ?? '*'))
    .map(([path, { version = '', engines }]) => `${path} ${version} runs on Node ${engines?.['node'] ?? ''} only`);
}

/** @returns one line per package for which the lock file names the registry that it came from */
function packagesWithRegistry(packages: LockedPackages): string[] {
  return Object.entries(packages)
    .filter(([, { link, resolved = '' }]) => link !== true && /^\w+:\/\//.test(resolved))
    .map(([path]) => `${path} names a registry`);
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
}

describe('the locked dependencies', () => {
  const { engines } = readJson('../package.json') as { readonly engines: { readonly node: string } };
  const { packages } = readJson('../package-lock.json') as { readonly packages: LockedPackages };

  it('run on every Node version that package.json promises', () => {
    const planted: LockedPackages = {
      'packages/own': { engines: { node: '>=99' } },
      'node_modules/any': {},
      'node_modules/old': { version: '1.0.0', engines: { node: '>=18' } },
      'node_modules/new': { version: '2.0.0', engines: { node: '>=22' } },
      'node_modules/tool': { version: '3.0.0', engines: { node: '>=22' }, dev: true },
    };
    expect(packagesThatExcludeNode(planted, '>=20.19')).toEqual(['node_modules/new 2.0.0 runs on Node >=22 only']);
    expect(packagesThatExcludeNode(packages, engines.node)).toEqual([]);
  });

  it('can be installed from any registry', () => {
    const planted: LockedPackages = {
      'node_modules/own': { link: true, resolved: 'packages/own' },
      'node_modules/any': { version: '1.0.0' },
      'node_modules/one': { resolved: 'https://registry.example/one.tgz' },
    };
    expect(packagesWithRegistry(planted)).toEqual(['node_modules/one names a registry']);
    expect(packagesWithRegistry(packages)).toEqual([]);
  });
});
