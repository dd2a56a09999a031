// Builds what is named, the service and the packages by default.
// The service is compiled module by module, for tests, scripts and benchmarks; the programs that users start are
// bundled over that with all that they load, because a start is mostly loading (ADR 18). @ratchet/server gets the bundle.
// Usage: node scripts/build.mjs [--if-stale] [service | client | embedded-postgres | testing | verifier]...
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { isStale, root, serverPackage, sourcesIn, stamped, targetNames } from './stale.mjs';
import { licencesOf } from './licences.mjs';
import { endWithUsage, readArguments } from './usage.mjs';

const PROGRAMS = {
  main: 'main.js',
  users: 'cli/users.js',
  keys: 'cli/keys.js',
  mails: 'cli/mails.js',
  migration: 'cli/migration.js',
};

/** What @ratchet/testing uses of the service. */
const INTERNAL = 'internal.js';

/** Is loaded before a program, so that a signal is heard while that loads. */
const INTERRUPTION = 'platform/common/interruption.js';

/** Defines and does nothing more, so that a start loads the decorators alone and not what describes the API. */
const ONLY_DEFINES = /[\\/]node_modules[\\/](?:@nestjs[\\/]swagger|es-toolkit)[\\/]/;

/** What the API's page shows. The package has copies, because theirs would bring an install script. */
const pageAssets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const PAGE_ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

/** What the licences of others oblige who passes the bundle on to pass on as well. */
const LICENCES = 'THIRD-PARTY-LICENSES.txt';

/** Native, or installed for development only. */
const NOT_BUNDLED = [/^@node-rs\/argon2$/, /^@ratchet\//, /^@embedded-postgres\//];

/** Dependency injection, logs and `error.name` use the names of classes. */
const NAMES = { function: true, class: true };

/** What Nest can use and this service does not install. */
const NOT_INSTALLED = [
  /^@nestjs\/(?:microservices|websockets|platform-express)/,
  /^@fastify\/(?:multipart|static|view)$/,
];

function buildPackage(name) {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const compile = (settings) => {
    const { status } = spawnSync(process.execPath, [compiler, '-p', `packages/${name}/${settings}`], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    });
    if (status !== 0) {
      throw new Error(`TypeScript has refused packages/${name}`);
    }
  };
  compile('tsconfig.build.json');
  if (existsSync(join(root, 'packages', name, 'tsconfig.cjs.json'))) {
    // A browser loads ECMAScript modules only, and Jest without settings CommonJS only.
    compile('tsconfig.cjs.json');
    write(join(root, 'packages', name, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n');
  }
}

/** Replaces a file as a whole: a service that is starting meanwhile reads the old one or the new one. */
function write(path, contents) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

async function buildService() {
  const modules = await compileModules();
  const { files, licences } = await bundlePrograms(modules);
  const bundle = [...files].map(([name, contents]) => [`bundle/${name}`, contents]);
  replaceFolder(join(root, 'dist'), new Map([...modules, ...bundle, ...programs(modules)]));
  if (existsSync(join(root, serverPackage))) {
    const page = PAGE_ASSETS.map((name) => [`swagger-ui/${name}`, readFileSync(join(pageAssets, name))]);
    replaceFolder(join(root, serverPackage, 'dist'), new Map([...files, ...page, [LICENCES, licences]]));
  }
}

/** @param output file name → contents; any other file in the folder is removed */
function replaceFolder(folder, output) {
  for (const [name, contents] of output) {
    write(join(folder, name), contents);
  }
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const name = relative(folder, join(entry.parentPath, entry.name));
    if (!entry.isDirectory() && !output.has(name)) {
      rmSync(join(folder, name), { force: true });
    }
  }
}

/** @returns file name in dist → contents */
async function compileModules() {
  const { transformFileSync } = await import('@swc/core');
  const output = new Map();
  for (const name of sourcesIn('src')) {
    const path = join(root, 'src', name);
    if (!name.endsWith('.ts')) {
      output.set(name, readFileSync(path, 'utf8'));
      continue;
    }
    const compiled = name.replace(/\.ts$/, '.js');
    const { code, map } = transformFileSync(path, { cwd: root, outputPath: join(root, 'dist', compiled) });
    output.set(compiled, `${code}\n//# sourceMappingURL=${compiled.split('/').at(-1)}.map\n`);
    output.set(`${compiled}.map`, map);
  }
  return output;
}

/**
 * One folder of modules, so that what a module looks for beside itself or in the checkout is where it is for the module
 * alone.
 *
 * @returns files: file name → contents; licences: those of the packages in it
 */
async function bundlePrograms(modules) {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({
    cwd: root,
    platform: 'node',
    tsconfig: false,
    input: Object.fromEntries(
      Object.entries({ ...PROGRAMS, internal: INTERNAL, interruption: INTERRUPTION }).map(([name, file]) => [
        name,
        join(root, 'src', file),
      ]),
    ),
    external: [...NOT_BUNDLED, ...NOT_INSTALLED],
    treeshake: { moduleSideEffects: [{ test: ONLY_DEFINES, sideEffects: false }] },
    plugins: [ownModules(modules), builtIns, unusedParts, dependencies],
    onwarn: (warning) => {
      throw new Error(warning.message);
    },
  });
  const { output } = await bundle.generate({
    dir: join(root, 'dist', 'bundle'),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    keepNames: true,
    // Otherwise `reflect-metadata` can run after the decorators that need it.
    strictExecutionOrder: true,
    sourcemap: true,
    sourcemapExcludeSources: true,
    // What is compiled at a start is smaller by a third.
    minify: { compress: { keepNames: NAMES }, mangle: { keepNames: NAMES }, codegen: true },
  });
  const files = new Map();
  for (const { fileName, code, moduleIds } of output.filter(({ type }) => type === 'chunk')) {
    const map = output.find((asset) => asset.fileName === `${fileName}.map`);
    // Node splits a file that names its map into lines, which takes as long as compiling it.
    const isMapped = moduleIds.some((id) => id.startsWith(join(root, 'src')));
    files.set(fileName, isMapped ? code : code.replace(/\/\/# sourceMappingURL=.*\s*$/, ''));
    if (isMapped) {
      files.set(map.fileName, map.source);
    }
  }
  for (const [name, contents] of modules) {
    if (name.endsWith('.mjs')) {
      files.set(name.split('/').at(-1), contents);
    } else if (name.endsWith('.eta')) {
      files.set(name.replace(/^mail\//, ''), contents);
    }
  }
  const moduleIds = output.flatMap((chunk) => chunk.moduleIds ?? []);
  return { files, licences: licencesOf([...moduleIds, pageAssets]) };
}

/** @returns file name in dist → contents */
function programs(modules) {
  const files = new Map();
  for (const [name, file] of Object.entries(PROGRAMS)) {
    const folder = `${file.includes('/') ? '../' : './'}bundle`;
    files.set(
      file,
      // Before any module is loaded, so that a stack names the line of the source.
      `process.setSourceMapsEnabled(true);\nawait import('${folder}/interruption.js');\nawait import('${folder}/${name}.js');\n`,
    );
  }
  // The service out of its modules, for a benchmark that replaces one.
  files.set('main.unbundled.js', modules.get('main.js'));
  return files;
}

/** Hands the compiled modules over; rolldown's own compiler would emit other metadata for Nest's decorators. */
function ownModules(modules) {
  const folder = join(root, 'src');
  return {
    name: 'own-modules',
    resolveId(id, importer) {
      const path = importer === undefined ? id : resolve(dirname(importer), id);
      return path.startsWith(`${folder}/`) && modules.has(relative(folder, path)) ? path : undefined;
    },
    load(id) {
      const name = relative(folder, id);
      const code = modules.get(name);
      if (code === undefined) {
        return undefined;
      }
      return { code, map: { ...JSON.parse(modules.get(`${name}.map`)), sources: [id.replace(/\.js$/, '.ts')] } };
    },
  };
}

/** An import of node:http reads every export, and Node 24 loads its WebSocket and all of fetch for that; 100 ms. */
const builtIns = {
  name: 'built-ins',
  resolveId: (id) => (/^(?:node:)?https?$/.test(id) ? `\0${id.replace('node:', '')}` : undefined),
  load: (id) => (/^\0https?$/.test(id) ? `module.exports = process.getBuiltinModule('${id.slice(1)}');` : undefined),
};

/** Loaded by the index of a dependency and never called: other databases, counters in them, telephone numbers, YAML. */
const unusedParts = {
  name: 'unused-parts',
  load: {
    filter: {
      id: /[\\/](?:(?:typeorm[\\/]driver[\\/](?!postgres|types)[\w-]+|libphonenumber-js|js-yaml)[\\/]|rate-limiter-flexible[\\/]lib[\\/]RateLimiter(?:SQLite|Dynamo|Prisma|Drizzle|Etcd|Mongo|MySQL|Memcache|Valkey))/,
    },
    handler: () => 'module.exports = {};',
  },
};

/** Node 20 loads all of fetch for the Response that pg makes to find out whether it runs at Cloudflare. */
const CLOUDFLARE_PROBE = "typeof Response === 'function'";

/** Without source maps, which are read at every start and would be fifty times as large as our own. */
const dependencies = {
  name: 'dependencies',
  transform: {
    filter: { id: /node_modules/ },
    handler: (code, id) => ({
      code: /[\\/]pg[\\/]lib[\\/]stream\.js$/.test(id) ? replaceOnce(code, CLOUDFLARE_PROBE, 'false') : code,
      map: { mappings: '' },
    }),
  },
};

function replaceOnce(code, from, to) {
  if (code.split(from).length !== 2) {
    throw new Error(`${from} does not occur exactly once`);
  }
  return code.replace(from, to);
}

const { values, positionals } = readArguments(import.meta.url, {
  allowPositionals: true,
  options: { 'if-stale': { type: 'boolean' } },
});
const unknown = positionals.filter((name) => !targetNames.includes(name));
if (unknown.length > 0) {
  endWithUsage(import.meta.url, `Nothing of this name can be built: ${unknown.join(', ')}`);
}
try {
  for (const target of positionals.length > 0 ? positionals : targetNames) {
    if (values['if-stale'] !== true || isStale(target)) {
      console.error(`Building the ${target}…`);
      await stamped(target, target === 'service' ? buildService : () => buildPackage(target));
    }
  }
} catch (error) {
  if (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND') {
    console.error(
      'The sources have changed since the build, and the build tools are not installed: run npm ci without --omit=dev.',
    );
  } else {
    console.error(error.message);
  }
  process.exitCode = 1;
}
