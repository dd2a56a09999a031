import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { keysCommand } from '../src/cli/keys.command.js';
import { mailsCommand } from '../src/cli/mails.command.js';
import { migrationCommand } from '../src/cli/migration.command.js';
import type { Invocation } from '../src/cli/terminal.js';
import { usersCommand } from '../src/cli/users.command.js';
import { runInProcess } from './support/command-in-process.js';
import { eventually } from './support/eventually.js';
import type { CommandResult } from './support/run-command.js';
import { ageKeys, kidOf } from './support/signing-keys.js';
import { newPassword } from './support/test-client.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useDatabase } from './support/use-service.js';

const PROGRAMS = { users: usersCommand, keys: keysCommand, mails: mailsCommand, migration: migrationCommand };
type Program = keyof typeof PROGRAMS;

const DAY_SECONDS = 86_400;
const EMAIL = 'robin.hood@example.com';

const instant: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const kid: unknown = expect.stringMatching(/^[\w-]{43}$/);
const password: unknown = expect.stringMatching(/^[\w-]{32,}$/);
const key = { kid, algorithm: 'ES256' };
const account = {
  id: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
  email: EMAIL,
  status: 'active',
  roles: ['admin', 'editor'],
  created_at: instant,
};

interface Call {
  readonly program: Program;
  readonly args: readonly string[];
  readonly answer: unknown;
  readonly input?: string;
  /** The status of the key whose id is the last argument. */
  readonly keyOf?: 'active' | 'retiring';
  /** What makes it due before the call. */
  readonly ageSeconds?: number;
  /** It waits until every instance knows a key. */
  readonly waits?: true;
}

/** Every command, in an order in which each has something to do. */
const CALLS: readonly Call[] = [
  {
    program: 'users',
    args: ['create', EMAIL, '--roles', 'admin,editor', '--generate'],
    answer: { ...account, password },
  },
  {
    program: 'users',
    args: ['create', 'typed@example.com'],
    input: newPassword(),
    answer: { ...account, email: 'typed@example.com', roles: [] },
  },
  { program: 'users', args: ['list', '--limit', '1'], answer: [account] },
  { program: 'users', args: ['list', '--prefix', 'x'], answer: [] },
  { program: 'users', args: ['roles', EMAIL], answer: account },
  { program: 'users', args: ['roles', EMAIL, '--set', 'ops'], answer: { ...account, roles: ['ops'] } },
  { program: 'users', args: ['roles', EMAIL, '--set', 'admin,editor'], answer: account },
  {
    program: 'users',
    args: ['set-password', EMAIL, '--generate'],
    answer: { ...account, ended_sessions: 0, password },
  },
  {
    program: 'users',
    args: ['set-password', EMAIL],
    input: newPassword(),
    answer: { ...account, ended_sessions: 0 },
  },
  { program: 'users', args: ['disable', EMAIL], answer: { ...account, status: 'disabled', ended_sessions: 0 } },
  { program: 'users', args: ['enable', EMAIL], answer: account },
  { program: 'users', args: ['end-sessions', EMAIL], answer: { ...account, ended_sessions: 0 } },
  {
    program: 'users',
    args: ['reset-factors', EMAIL],
    answer: { ...account, removed_factors: [], ended_sessions: 0 },
  },
  { program: 'users', args: ['delete', EMAIL, '--yes'], answer: { ...account, ended_sessions: 0 } },
  {
    program: 'keys',
    args: ['rotate'],
    answer: { event: 'published', ...key, signs_from: instant },
  },
  { program: 'keys', args: ['rotate'], ageSeconds: DAY_SECONDS + 20, answer: { event: 'activated', ...key } },
  { program: 'keys', args: ['retire', '--force'], keyOf: 'retiring', answer: { event: 'removed', kid } },
  { program: 'keys', args: ['rotate', '--force'], waits: true, answer: { event: 'activated', ...key } },
  {
    program: 'keys',
    args: ['replace', '--force'],
    keyOf: 'active',
    waits: true,
    answer: { event: 'activated', ...key, removed_kid: kid },
  },
  {
    program: 'keys',
    args: ['list'],
    answer: expect.arrayContaining([
      {
        ...key,
        status: 'retiring',
        created_at: instant,
        activated_at: instant,
        retiring_at: instant,
        signs_from: null,
        removed_from: instant,
        secret: 'current',
      },
      {
        ...key,
        status: 'active',
        created_at: instant,
        activated_at: instant,
        retiring_at: null,
        signs_from: null,
        removed_from: null,
        secret: 'current',
      },
    ]),
  },
  {
    program: 'keys',
    args: ['plan'],
    answer: expect.arrayContaining([
      { at: instant, event: 'removed', ...key },
      { at: instant, event: 'published', kid: 'new key 1', algorithm: 'ES256' },
      { at: instant, event: 'activated', kid: 'new key 1', algorithm: 'ES256' },
    ]),
  },
  {
    program: 'keys',
    args: ['reencrypt'],
    answer: {
      reencrypted_keys: 0,
      total_keys: expect.any(Number),
      reencrypted_totp_factors: 0,
      total_totp_factors: 0,
    },
  },
  { program: 'mails', args: ['list'], answer: [] },
  { program: 'mails', args: ['retry', '--all'], answer: { due_mails: 0 } },
  {
    program: 'mails',
    args: ['show'],
    answer: { file: expect.stringMatching(/\/mails\/2026-2\.eml$/), text: 'Grüße: https://example.com/#a=b' },
  },
  { program: 'migration', args: ['revert'], answer: { reverted: expect.stringMatching(/^\w+\d{13}$/) } },
  { program: 'migration', args: ['run'], answer: { up_to_date: true } },
  { program: 'migration', args: ['generate', 'nothing-new'], answer: { file: null, class_name: null } },
];

describe('the answers of the commands', () => {
  const database = useDatabase();
  let dataDir: string;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ratchet-answers-'));
    await mkdir(join(dataDir, 'mails'));
    const head = 'Subject: Hello\nContent-Type: multipart/alternative;\n boundary="b"\n\n--b\n';
    const text = 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n';
    const body = 'Gr=C3=BC=C3=9Fe: https://exa=\nmple.com/#a=3Db\n';
    await writeFile(join(dataDir, 'mails', '2026-2.eml'), `${head}${text}${body}--b\n<p>Gr=C3=BC=C3=9Fe\n--b--\n`);
    await writeFile(join(dataDir, 'mails', '2026-1.eml'), `${head}${text}an older one\n--b--\n`);
  });

  afterAll(() => rm(dataDir, { recursive: true }));

  function run(
    program: Program,
    args: readonly string[],
    input = '',
    terminalColumns?: number,
  ): Promise<CommandResult> {
    return runInProcess(PROGRAMS[program], args, {
      workingDirectory: tmpdir(),
      environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: database.url, DATA_DIR: dataDir },
      input,
      ...(terminalColumns === undefined ? {} : { terminalColumns }),
    });
  }

  async function isSwitchSettled(): Promise<boolean> {
    const keys = await database.sql(
      `select kid from signing_keys where status = 'next' and activated_at > clock_timestamp()`,
    );
    return keys.length === 1;
  }

  it.each(CALLS.map((call) => [`${call.program} ${call.args.join(' ')}`, call] as const))(
    '%s answers with --json in a stable shape, and writes nothing else to standard output',
    async (_, call) => {
      if (call.ageSeconds !== undefined) {
        await ageKeys(database, call.ageSeconds);
      }
      const named = call.keyOf === undefined ? [] : ['--', await kidOf(database, call.keyOf)];
      const running = run(call.program, [...call.args, '--json', ...named], call.input);
      if (call.waits === true) {
        await eventually(isSwitchSettled, { withinMs: 20_000 });
        await ageKeys(database, 21);
      }
      const { exitCode, stdout, stderr } = await running;
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(stdout)).toEqual(call.answer);
    },
  );

  it.each(Object.keys(PROGRAMS) as Program[])('every command of %s has a test of its JSON answer', (program) => {
    const invocation = { answers: process.stdout, output: process.stderr } as unknown as Invocation;
    const build: (invocation: Invocation) => Command = PROGRAMS[program];
    expect(new Set(build(invocation).commands.map((command) => command.name()))).toEqual(
      new Set(CALLS.filter((call) => call.program === program).map(({ args }) => args[0])),
    );
  });

  it('a failure with --json leaves standard output empty, and is a sentence and an exit code as without', async () => {
    expect(await run('users', ['disable', 'nobody@example.com', '--json'])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'There is no user nobody@example.com.\n',
    });
    expect((await run('keys', ['rotate', '--json', '--fast'])).exitCode).toBe(2);
  });

  it.each(Object.keys(PROGRAMS))('%s whose reader has gone, as `head` does, ends without a word', async (program) => {
    const running = spawn(process.execPath, [`dist/cli/${program}.js`, '--help'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.stdout.destroy();
    const [stderr, [exitCode]] = await Promise.all([text(running.stderr), once(running, 'close')]);
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
  });

  it('every command says in its help that it has --json', async () => {
    expect((await run('users', ['create', '--help'])).stdout).toMatch(/ --json +answer in JSON/);
  });

  it('no table is wider than a terminal of 80 columns, and each fits one of 200 as lines', async () => {
    await run('users', ['create', EMAIL, '--roles', 'admin,editor', '--generate']);
    await run('keys', ['rotate']);
    for (const [program, command] of [
      ['users', 'list'],
      ['keys', 'list'],
      ['keys', 'plan'],
    ] as const) {
      const lines = (await run(program, [command], '', 80)).stdout.split('\n');
      expect(lines.filter(({ length }) => length > 80)).toEqual([]);
      const wide = await run(program, [command], '', 200);
      expect(wide).toEqual(await run(program, [command]));
      expect(lines.length).toBeGreaterThanOrEqual(wide.stdout.split('\n').length);
    }
  });
});
