import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

/** The `package.json` of the checkout or of the published package, found from any depth, because the build bundles modules. */
const { name, version } = JSON.parse(readFileSync(resolve('#package.json'), 'utf8')) as {
  readonly name: string;
  readonly version: string;
};

/** The version of the service. */
export const VERSION = version;

/** Whether this is the published package, whose users call `ratchet` and have no checkout. */
export const IS_PUBLISHED = name === '@ratchet/server';
