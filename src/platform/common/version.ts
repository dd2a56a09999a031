import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

/** The version of the service. Its `package.json` is found from any depth, because the build bundles modules. */
export const { version: VERSION } = JSON.parse(readFileSync(resolve('#package.json'), 'utf8')) as {
  readonly version: string;
};
