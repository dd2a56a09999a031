import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';

const MOST_BYTES = 5_000;
const MOST_ACCOUNT_BYTES = 1_500;
const MOST_FACTORS_BYTES = 1_000;
const MOST_PASSKEYS_BYTES = 1_500;

it('the client takes at most 5 kB of a page, minified and gzipped, and needs no other package', async () => {
  expect(await sizeOf('index')).toBeLessThanOrEqual(MOST_BYTES);
});

it('what a client can do by mail takes at most 1.5 kB more', async () => {
  expect((await sizeOf('index', 'account')) - (await sizeOf('index'))).toBeLessThanOrEqual(MOST_ACCOUNT_BYTES);
});

it('what a client can do with second factors takes at most 1 kB more', async () => {
  expect((await sizeOf('index', 'factors')) - (await sizeOf('index'))).toBeLessThanOrEqual(MOST_FACTORS_BYTES);
});

it('what a client can do with passkeys takes at most 1.5 kB more', async () => {
  expect((await sizeOf('index', 'passkeys')) - (await sizeOf('index'))).toBeLessThanOrEqual(MOST_PASSKEYS_BYTES);
});

/** All of the entries in one file, as an application's bundler puts them. */
async function sizeOf(...entries: readonly string[]): Promise<number> {
  const name = 'all entries';
  const text = entries
    .map((entry) => `export * from ${JSON.stringify(fileURLToPath(new URL(`${entry}.ts`, import.meta.url)))};`)
    .join('\n');
  const bundle = await rolldown({
    input: name,
    platform: 'browser',
    plugins: [{ name, resolveId: (id) => (id === name ? id : null), load: (id) => (id === name ? text : null) }],
  });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  expect(output).toHaveLength(1);
  const [{ code, imports }] = output;
  expect(imports).toEqual([]);
  return gzipSync(code).length;
}
