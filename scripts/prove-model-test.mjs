// Shows that the model test finds faults: puts each of the faults below into a copy of the checkout and expects the
// test, which passes without them, to fail.
// Usage: node scripts/prove-model-test.mjs ['name of a fault' | none]...   MODEL_RUNS, MODEL_SEED: as for the test
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithUsage, readArguments } from './usage.mjs';

const RUNS = process.env.MODEL_RUNS ?? '300';
const TEST = 'test/family-model.e2e-spec.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const families = 'src/tokens/families.repository.ts';
const statement = 'src/tokens/rotation.statement.ts';

/** Plausible mistakes: how the statement might be written without knowing the reasons for its form. */
const FAULTS = {
  'no row lock': [[statement, ' for no key update${waitPolicy}\n', '\n']],

  'grace that slides': [
    [
      statement,
      `    ended as (
      update refresh_token_families as family
      set \${revocation(`,
      `    slid as (
      update refresh_token_families as family set rotated_at = judged.seen_at
      from judged
      where family.id = judged.id and verdict = 'replayed'
    ),
    ended as (
      update refresh_token_families as family
      set \${revocation(`,
    ],
  ],

  'revocation rolled back with the error': [
    [
      families,
      `connection.queryPrepared<RotationRow>(ROTATE_FREE_FAMILIES, values)`,
      `this.throwWithinTransaction(ROTATE_FREE_FAMILIES, values)`,
    ],
    [
      families,
      `  private rotationValues(`,
      `  private throwWithinTransaction(
    statement: PreparedStatement,
    values: readonly unknown[],
  ): Promise<RotationRow[]> {
    return this.database.transaction(async (transaction) => {
      const rows = await transaction.query<RotationRow>(statement.text, values);
      if (rows.some(({ verdict }) => verdict === 'reused')) {
        throw new RefreshTokenReusedError();
      }
      return rows;
    });
  }

  private rotationValues(`,
    ],
    [
      families,
      `import type { ClientInfo, RevokeReason, Session } from './tokens.types.js';`,
      `import type { PreparedStatement } from '../platform/database/database.service.js';
import { RefreshTokenReusedError } from './tokens.errors.js';
import type { ClientInfo, RevokeReason, Session } from './tokens.types.js';`,
    ],
  ],

  'retry key not overwritten': [
    [
      statement,
      'retry_key_hash = new_retry_key_hash,',
      'retry_key_hash = coalesce(family.retry_key_hash, new_retry_key_hash),',
    ],
  ],

  'no key history': [
    [
      statement,
      'int4send(presented_generation) || retry_key_digest || judged.retry_key_history',
      'judged.retry_key_history',
    ],
  ],

  'replay that advances': [
    [
      statement,
      'set generation = presented_generation + 1,',
      `set generation = case verdict when 'replayed' then judged.generation else presented_generation end + 1,`,
    ],
    [statement, `verdict in ('rotated', 'rolled_forward')\n`, `verdict in ('rotated', 'rolled_forward', 'replayed')\n`],
    [
      statement,
      `case when verdict in ('rotated', 'rolled_forward') then presented_generation + 1 else generation end as generation`,
      `case verdict when 'rotated' then presented_generation + 1 when 'rolled_forward' then presented_generation + 1 when 'replayed' then generation + 1 else generation end as generation`,
    ],
  ],

  'tombstone cleaned too early': [
    [
      families,
      'where expires_at < now() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})',
      'where expires_at < now()',
    ],
  ],
};

/** Copies what the test needs and links what it only reads. */
function copyCheckout() {
  const copy = mkdtempSync(join(tmpdir(), 'ratchet-model-proof-'));
  for (const name of ['src', 'test', 'packages', 'package.json', 'tsconfig.json', 'vitest.config.mjs', '.swcrc']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  for (const name of ['node_modules', 'dist']) {
    symlinkSync(join(root, name), join(copy, name), 'dir');
  }
  return copy;
}

function applyPatch(copy, [file, from, to]) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new Error(`${file} should hold this once, and holds it ${parts.length - 1} times:\n${from}`);
  }
  writeFileSync(path, parts.join(to));
}

/** @returns whether the test passed, and what it printed */
function runModelTest(patches) {
  const copy = copyCheckout();
  try {
    for (const patch of patches) {
      applyPatch(copy, patch);
    }
    const vitest = [join('node_modules', 'vitest', 'vitest.mjs'), 'run', TEST];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, vitest, {
      cwd: copy,
      encoding: 'utf8',
      env: { ...process.env, MODEL_RUNS: RUNS },
    });
    if (signal !== null) {
      throw new Error(`the test was ended by ${signal}`);
    }
    return { passed: status === 0, output: `${stdout}${stderr}` };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** @returns one line for the table, and whether it is the expected one */
function prove(name) {
  const { passed, output } = runModelTest(name === 'none' ? [] : FAULTS[name]);
  if (process.env.MODEL_VERBOSE !== undefined) {
    console.error(output);
  }
  if (name === 'none') {
    return { isAsHoped: passed, line: passed ? `passes ${RUNS} runs` : output };
  }
  const found = /part ways in run (\d+) of seed (-?\d+)\. Shrunk (\d+) times/.exec(output);
  if (found !== null) {
    const [, run, seed, shrinks] = found;
    return { isAsHoped: true, line: `found in run ${run} (seed ${seed}, shrunk ${shrinks} times)` };
  }
  return {
    isAsHoped: false,
    line: passed ? `NOT FOUND in ${RUNS} runs` : `the test failed in another way:\n${output}`,
  };
}

const asked = readArguments(import.meta.url, { allowPositionals: true }).positionals;
const known = ['none', ...Object.keys(FAULTS)];
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  endWithUsage(import.meta.url, `no such fault: ${unknown.join(', ')}; there are: ${known.join(', ')}`);
}
// The test receives the signal as well; this process cleans up after it.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => undefined);
}
spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], { stdio: 'inherit' });
for (const name of asked.length > 0 ? asked : known) {
  const { isAsHoped, line } = prove(name);
  console.log(`${name.padEnd(40)} ${line}`);
  if (!isAsHoped) {
    process.exitCode = 1;
  }
}
