// Proves the models of docs/model with Spin: searches all states of each, shows that the events that matter happen, and
// that each planted fault violates its invariant. Needs spin and a C compiler (gcc, cc).
// Usage: node scripts/prove-protocol.mjs
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

readArguments(import.meta.url);

const models = join(dirname(fileURLToPath(import.meta.url)), '..', 'docs', 'model');

/** Steps. Spin stops at a longer path and says so, and then this script fails. */
const LONGEST_PATH = 1_000_000;

const MOST_MEMORY_MIB = 2_000;

/** Searched in full: no assertion may fail, and no state may be a deadlock. */
const SEARCHES = [
  { model: 'rotation', flags: [] },
  { model: 'rotation', flags: ['LOSS'] },
  { model: 'rotation', flags: ['LOSS', 'ROLL_FORWARD_OFF'] },
  { model: 'feed', flags: [] },
  { model: 'followers', flags: [] },
];

/** What would make the searches worthless if it never happened: `event` of the model has to be reached. */
const EVENTS = [
  ...[
    'ROTATED',
    'REPLAYED',
    'REUSED',
    'KEY_REUSED',
    'ENDED_BY_REUSE',
    'ENDED',
    'SETTLED',
    'OWN_LATE_ATTEMPT',
    'KEY_OF_ANOTHER_TOKEN',
    'CLIENT_TOOK_SECOND_KEY',
    'REPLAYED_TO_THIEF',
  ].map((event) => ({ model: 'rotation', flags: [], event })),
  { model: 'rotation', flags: ['LOSS'], event: 'ROLLED_FORWARD' },
  { model: 'rotation', flags: ['LOSS'], event: 'WHOLE_AGAIN' },
  { model: 'rotation', flags: ['LOSS', 'ROLL_FORWARD_OFF'], event: 'ROLLED_BACK' },
  ...['ANSWERED_503', 'COMMITTED_LATE', 'TOLD_BY_ANOTHER', 'END_LOST', 'ID_USED_AGAIN', 'ENDED_AGAIN'].map((event) => ({
    model: 'feed',
    flags: [],
    event,
  })),
  ...['ENDED_AGAIN', 'READ_ALL_AGAIN', 'READ_AHEAD', 'READ_ELSEWHERE'].map((event) => ({
    model: 'followers',
    flags: [],
    event,
  })),
];

/** Plausible mistakes, and the invariant that each violates. The other invariants are not checked in these runs. */
const FAULTS = [
  { fault: 'no row lock', model: 'rotation', flags: ['NO_ROW_LOCK'], violates: 1 },
  { fault: 'no row lock', model: 'rotation', flags: ['NO_ROW_LOCK'], violates: 2 },
  { fault: 'no key history', model: 'rotation', flags: ['NO_KEY_HISTORY'], violates: 6 },
  { fault: 'replay without key', model: 'rotation', flags: ['REPLAY_WITHOUT_KEY'], violates: 3 },
  { fault: 'announce before commit', model: 'feed', flags: ['ANNOUNCE_BEFORE_COMMIT'], violates: 6 },
  { fault: 'feed cursor by timestamp', model: 'feed', flags: ['CURSOR_BY_TIMESTAMP'], violates: 4 },
  { fault: 'history change ignored', model: 'feed', flags: ['HISTORY_CHANGE_IGNORED'], violates: 4 },
  { fault: 'history change ignored', model: 'followers', flags: ['HISTORY_CHANGE_IGNORED'], violates: 4 },
  { fault: 'answer before commit', model: 'rotation', flags: ['ANSWER_BEFORE_COMMIT'], violates: 5 },
  { fault: 'unknown outcome told as nothing done', model: 'rotation', flags: ['NO_SETTLE'], violates: 6 },
  { fault: 'stale news count', model: 'feed', flags: ['STALE_NEWS_COUNT'], violates: 4 },
  { fault: 'ids of the old history kept', model: 'followers', flags: ['OLD_XIDS_KEPT'], violates: 4 },
];

/** Limits that docs/rotation.md states. Were one not found, the document or the model would be wrong. */
const LIMITS = [
  { fault: 'an attempt later than the history', model: 'rotation', flags: ['HISTORY=2'], violates: 6 },
  { fault: 'a late attempt after lost rotations', model: 'rotation', flags: ['LOSS', 'LATE_AFTER_LOSS'], violates: 6 },
];

class SpinError extends Error {}

function run(folder, program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (error !== undefined) {
    throw new SpinError(`${program} cannot be run (scripts/install-test-programs.sh installs it): ${error.message}`);
  }
  return { status, output: `${stdout}${stderr}` };
}

function runOrFail(folder, program, args) {
  const { status, output } = run(folder, program, args);
  if (status !== 0) {
    throw new SpinError(`${program} ${args.join(' ')} failed:\n${output}`);
  }
  return output;
}

/**
 * Searches a model until all its states are seen or an assertion fails. States are stored losslessly (COLLAPSE).
 *
 * @returns the message of the failed assertion, if any, and how long and how far the search was
 */
function search(model, flags) {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-protocol-proof-'));
  try {
    const defines = flags.map((flag) => `-D${flag}`);
    cpSync(join(models, `${model}.pml`), join(folder, 'model.pml'));
    runOrFail(folder, 'spin', ['-a', ...defines, 'model.pml']);
    runOrFail(folder, 'cc', [
      '-O2',
      '-w',
      '-DSAFETY',
      '-DCOLLAPSE',
      `-DMEMLIM=${MOST_MEMORY_MIB}`,
      '-o',
      'pan',
      'pan.c',
    ]);
    const { output } = run(folder, join(folder, 'pan'), [`-m${LONGEST_PATH}`]);
    const [, violation] = /^pan:1: (.*) \(at depth \d+\)/m.exec(output) ?? [];
    const figure = (pattern) => pattern.exec(output)?.[1];
    const states = figure(/(\S+) states, stored/);
    // Spin also stops at the first violation, which is what is asked for.
    const isCutShort = /max search depth too small|reached -DMEMLIM/.test(output);
    const isUnfinished = violation === undefined && /Search not completed/.test(output);
    if (states === undefined || isCutShort || isUnfinished) {
      throw new SpinError(`the search of ${model} ${flags.join(' ')} was not complete:\n${output}`);
    }
    return {
      violation,
      trail: violation === undefined ? '' : runOrFail(folder, 'spin', ['-t', '-p', ...defines, 'model.pml']),
      states: Number(states),
      depth: Number(figure(/depth reached (\d+)/)),
      seconds: Number(figure(/elapsed time ([\d.]+)/) ?? 0),
      memoryMib: Number(figure(/([\d.]+)\s+total actual memory usage/)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const describe = ({ model, flags }) => [model, ...flags].join(' ');

const effort = ({ states, depth, seconds, memoryMib }) =>
  `${states.toLocaleString('en')} states, depth ${depth.toLocaleString('en')}, ${seconds} s, ${Math.round(memoryMib)} MiB`;

function proveSearch(each) {
  const result = search(each.model, each.flags);
  return result.violation === undefined
    ? { isAsHoped: true, line: `holds: ${effort(result)}` }
    : { isAsHoped: false, line: `VIOLATED, ${result.violation}\n${result.trail}` };
}

function proveEvent({ model, flags, event }) {
  const result = search(model, [...flags, `PROBE=${event}`]);
  return result.violation === undefined
    ? { isAsHoped: false, line: `${event} NEVER HAPPENS: ${effort(result)}` }
    : { isAsHoped: true, line: `${event} happens` };
}

function proveFault({ fault, model, flags, violates }) {
  const result = search(model, [...flags, `ONLY=${violates}`]);
  const isFound = result.violation !== undefined && result.violation.includes(`${violates}!=${violates}`);
  return isFound
    ? { isAsHoped: true, line: `${fault}: violates invariant ${violates} (${effort(result)})` }
    : { isAsHoped: false, line: `${fault}: NOT FOUND by invariant ${violates}, ${result.violation ?? effort(result)}` };
}

const proofs = [
  ['All states', SEARCHES, proveSearch],
  ['Events', EVENTS, proveEvent],
  ['Planted faults', FAULTS, proveFault],
  ['Known limits', LIMITS, proveFault],
];
const startedAtMs = performance.now();
for (const [title, list, prove] of proofs) {
  console.log(title);
  for (const each of list) {
    const { isAsHoped, line } = prove(each);
    console.log(`  ${describe(each).padEnd(34)} ${line}`);
    if (!isAsHoped) {
      process.exitCode = 1;
    }
  }
}
console.log(`${Math.round((performance.now() - startedAtMs) / 1000)} s in all`);
