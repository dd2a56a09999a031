import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { usersCommand } from '../src/cli/users.command.js';
import { copyCheckout } from './support/checkout-copy.js';
import { runInProcess } from './support/command-in-process.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { killPostgresOf } from './support/kill-postgres.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { type CommandOptions, type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { claimsOf, codeOf, newEmail, newPassword, TestClient } from './support/test-client.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useService } from './support/use-service.js';

/** How soon an instance must have learnt of a revocation that another process has acknowledged. */
const REVOCATION_BOUND_MS = 1_000;

const ROLES_OF_1025_CHARACTERS = Array.from({ length: 16 }, (_, index) =>
  String(index).padStart(index < 15 ? 64 : 50, 'r'),
).join(',');

describe('the users command beside a running service', () => {
  let checkout: string;
  const { database, service } = useService();
  let client: TestClient;
  const outputs: string[] = [];

  function options(input: string): CommandOptions {
    return {
      environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: database.url },
      input,
      workingDirectory: checkout,
    };
  }

  async function users(args: readonly string[], input = ''): Promise<CommandResult> {
    return recorded(await runInProcess(usersCommand, args, options(input)));
  }

  async function usersProcess(args: readonly string[], input = ''): Promise<CommandResult> {
    return recorded(await runCommand(process.execPath, ['dist/cli/users.js', ...args], options(input)));
  }

  function recorded(result: CommandResult): CommandResult {
    outputs.push(result.stdout, result.stderr);
    return result;
  }

  async function expectRefusedSoon(accessToken: string): Promise<void> {
    await eventually(async () => (await client.me(accessToken)).status === 401, { withinMs: REVOCATION_BOUND_MS });
    expect(codeOf(await client.me(accessToken))).toBe('access_token_revoked');
  }

  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-users-'));
    await copyCheckout(checkout);
    ({ client } = service);
  });

  afterAll(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  it('creates an account that can sign in, and whose tokens carry its roles', async () => {
    const [email, password] = [newEmail(), newPassword()];
    const { exitCode, stdout, stderr } = await usersProcess(
      ['create', email.toUpperCase(), '--roles', 'editor, admin'],
      `${password}\n`,
    );
    const pair = await client.signIn({ email, password });
    const claims = claimsOf(pair.access_token);
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 0,
      stdout: `Created ${email} with id ${String(claims['sub'])} and the roles admin, editor.\n`,
      stderr: '',
    });
    expect(claims).toMatchObject({ roles: ['admin', 'editor'], scope: 'admin editor' });
  });

  it('generates a password on request and prints the one that works', async () => {
    const email = newEmail();
    const { exitCode, stdout } = await users(['create', email, '--generate']);
    expect(exitCode).toBe(0);
    const [, password = ''] = /^Created .*\nPassword, shown only once: ([\w-]{32,})\n$/.exec(stdout) ?? [];
    await client.signIn({ email, password });
  });

  it('invariant 4: disables an account, after which no token of it works and nobody signs in until it is enabled', async () => {
    const { pair, id, ...account } = await client.signUpAndIn();
    const secondPair = await client.signIn(account);
    expect(await users(['disable', id])).toEqual({
      exitCode: 0,
      stdout: `Disabled ${account.email}; 2 sessions ended.\n`,
      stderr: '',
    });
    await expectRefusedSoon(pair.access_token);
    await expectRefusedSoon(secondPair.access_token);
    expect(codeOf(await client.refresh(pair.refresh_token))).toBe('account_disabled');
    expect(codeOf(await client.login({ email: account.email, password: account.password }))).toBe('account_disabled');

    expect(await users(['enable', account.email])).toEqual({
      exitCode: 0,
      stdout: `Enabled ${account.email}.\n`,
      stderr: '',
    });
    await client.signIn(account);
    expect((await client.refresh(pair.refresh_token)).status).toBe(403);
    expect(codeOf(await client.me(pair.access_token))).toBe('access_token_revoked');
  });

  it('invariant 4: sets a password, after which the old one and every earlier session are refused', async () => {
    const { pair, email, password } = await client.signUpAndIn();
    const replacement = newPassword();
    expect(await usersProcess(['set-password', email], replacement)).toEqual({
      exitCode: 0,
      stdout: `Set the password of ${email}; 1 session ended.\n`,
      stderr: '',
    });
    await expectRefusedSoon(pair.access_token);
    expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_revoked');
    expect(codeOf(await client.login({ email, password }))).toBe('invalid_credentials');
    await client.signIn({ email, password: replacement });
  });

  it('invariant 4: signs an account out everywhere, and it may sign in again', async () => {
    const { pair, ...account } = await client.signUpAndIn();
    expect(await users(['end-sessions', account.email])).toEqual({
      exitCode: 0,
      stdout: `Signed ${account.email} out; 1 session ended.\n`,
      stderr: '',
    });
    await expectRefusedSoon(pair.access_token);
    expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_revoked');
    await client.signIn(account);
  });

  /** An account with a factor of each kind and a recovery code, which are never judged here. */
  async function giveFactors(userId: string): Promise<void> {
    await database.sql(`update users set second_factors = '{totp,passkey}' where id = $1`, [userId]);
    await database.sql(
      `insert into totp_factors (user_id, id, secret_encrypted, encryption_key_id, confirmed_at, created_at)
       values ($1, gen_random_uuid(), 'sealed', 1, now(), now())`,
      [userId],
    );
    await database.sql(`insert into recovery_codes (user_id, code_hash, created_at) values ($1, 'hash', now())`, [
      userId,
    ]);
    await database.sql(
      `insert into passkeys (id, user_id, rp_id, public_key, algorithm, sign_count, transports, aaguid, backup_eligible,
         backed_up, name, created_at)
       values (uuid_send(gen_random_uuid()), $1, 'example.com', 'key', -7, 0, '{}', gen_random_uuid(), false, false, 'Laptop', now())`,
      [userId],
    );
  }

  async function countOf(userId: string): Promise<unknown> {
    const [row] = await database.sql(
      `select
         (select count(*)::int from totp_factors where user_id = $1) as apps,
         (select count(*)::int from passkeys where user_id = $1) as passkeys,
         (select count(*)::int from recovery_codes where user_id = $1) as codes`,
      [userId],
    );
    return row;
  }

  async function versionOf(userId: string): Promise<number> {
    const [row] = await database.sql<{ version: number }>(
      'select credential_version as version from users where id = $1',
      [userId],
    );
    return row!.version;
  }

  it('invariant 4: resets second factors, after which the password opens a session and every earlier one is refused', async () => {
    const [lost, other] = [await client.signUpAndIn(), await client.signUp()];
    await giveFactors(lost.id);
    await giveFactors(other.id);
    const { email, password, pair } = lost;
    const version = await versionOf(lost.id);
    expect(codeOf(await client.login({ email, password }))).toBe('second_factor_required');

    expect(await users(['reset-factors', email])).toEqual({
      exitCode: 0,
      stdout: `Reset the second factors of ${email} (totp and passkey); 1 session ended.\n`,
      stderr: '',
    });
    await expectRefusedSoon(pair.access_token);
    expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_revoked');
    expect(await countOf(lost.id)).toEqual({ apps: 0, passkeys: 0, codes: 0 });
    expect(await countOf(other.id)).toEqual({ apps: 1, passkeys: 1, codes: 1 });
    await client.signIn(lost);
    // Tickets of the earlier credential version, as of a sign-in that was under way, are dead.
    expect(await versionOf(lost.id)).toBe(version + 1);
  });

  it('mails the user once whose second factors it has reset, whether or not it knows of mail', async () => {
    const { id, email } = await client.signUp();
    await giveFactors(id);
    const answers = [await users(['reset-factors', id, '--json']), await users(['reset-factors', id, '--json'])];
    expect(answers.map(({ stdout }) => JSON.parse(stdout) as unknown)).toEqual([
      expect.objectContaining({ email, removed_factors: ['totp', 'passkey'], ended_sessions: 0 }),
      expect.objectContaining({ email, removed_factors: [], ended_sessions: 0 }),
    ]);
    expect(await new OutgoingMails(database, service).to(email)).toEqual([
      { template: 'factors_reset', locale: null, params: { at: expect.any(String) }, token: '', code: '' },
    ]);
  });

  it('invariant 4: deletes an account with its sessions, and only after a yes', async () => {
    const { pair, email, password } = await client.signUpAndIn();
    const unconfirmed = await usersProcess(['delete', email], 'y\n');
    expect(unconfirmed.exitCode).toBe(2);
    expect(unconfirmed.stderr).toContain('there is no terminal to ask on, so deleting needs --yes');
    expect((await client.me(pair.access_token)).status).toBe(200);

    expect(await users(['delete', email, '--yes'])).toEqual({
      exitCode: 0,
      stdout: `Deleted ${email}; 1 session ended.\n`,
      stderr: '',
    });
    await expectRefusedSoon(pair.access_token);
    expect((await client.refresh(pair.refresh_token)).status).toBe(401);
    expect(codeOf(await client.login({ email, password }))).toBe('invalid_credentials');
  });

  it('shows roles and replaces them; tokens carry the new ones from the next refresh on', async () => {
    const { pair, email } = await client.signUpAndIn();
    expect((await users(['roles', email])).stdout).toBe(`${email} has no roles.\n`);
    expect((await users(['roles', email, '--set', 'ops,billing:read'])).stdout).toBe(
      `${email} has the roles billing:read, ops now; tokens carry them from the next refresh.\n`,
    );
    const next = await client.rotate(pair.refresh_token);
    expect(claimsOf(next.access_token)['roles']).toEqual(['billing:read', 'ops']);

    await users(['roles', email, '--set', '']);
    expect(claimsOf((await client.rotate(next.refresh_token)).access_token)['roles']).toBeUndefined();
  });

  it('lists accounts page by page in the order of their e-mails, for people and for programs', async () => {
    const prefix = `list-${newEmail().slice(5, 13)}`;
    const expected = [];
    for (const name of ['c', 'a', 'b']) {
      const email = `${prefix}-${name}@example.com`;
      const response = await client.register({ email, password: newPassword() });
      const { id, created_at } = response.body as { id: string; created_at: string };
      expected.push({ id, email, status: 'active', roles: [], created_at });
    }
    const [c, a, b] = expected;

    const first = await users(['list', '--prefix', prefix.toUpperCase(), '--limit', '2', '--json']);
    expect(JSON.parse(first.stdout)).toEqual([a, b]);
    expect(first.stderr).toBe(`There are more: --after ${b!.email}\n`);
    const second = await users(['list', '--prefix', prefix, '--limit', '2', '--after', b!.email]);
    expect(second.stderr).toBe('');
    expect(second.stdout).toMatch(/^EMAIL +ID +STATUS +ROLES +CREATED\n/);
    expect(second.stdout.split('\n')[1]?.split(/ {2,}/)).toEqual([c!.email, c!.id, 'active', '-', c!.created_at]);
  });

  it.each<[string, string[], string, number, RegExp]>([
    ['an unknown user', ['disable', 'nobody@example.com'], '', 1, /^There is no user nobody@example\.com\.\n$/],
    [
      'whatever is wrong, at once',
      ['create', 'new.example.com', '--roles', 'Admin'],
      'password',
      1,
      /^Refused: email must be an e-mail address; password must not be a commonly used password; roles must be at most .*\.\n$/,
    ],
    [
      'roles that would make tokens too long for a gateway',
      ['create', 'new@example.com', '--roles', ROLES_OF_1025_CHARACTERS, '--generate'],
      '',
      1,
      /^Refused: roles must be at most 32 names .* with at most 1,024 characters together, including a space between two\.\n$/,
    ],
    ['a password argument', ['create', 'new@example.com', 'pw-secret-argument'], '', 2, /^error: too many arguments/],
    ['an unknown command', ['drop'], '', 2, /^error: unknown command 'drop'\n/],
    ['a limit that is none', ['list', '--limit', '0'], '', 2, /Not a whole number from 1 to 1000\./],
    ['no command', [], '', 2, /^Usage: users /],
  ])('refuses %s in a sentence, with nothing on standard output', async (_, args, input, exitCode, sentence) => {
    const [before] = await database.sql('select count(*) from users');
    const result = await users(args, input);
    expect(result).toEqual({ exitCode, stdout: '', stderr: expect.stringMatching(sentence) });
    expect(await database.sql('select count(*) from users')).toEqual([before]);
  });

  it('refuses an e-mail that is taken, and leaves that account alone', async () => {
    const account = await client.signUp();
    expect(await users(['create', account.email], newPassword())).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'Refused: another account has this e-mail.\n',
    });
    await client.signIn(account);
  });

  function startCreating(url: string): RunningCommand {
    return new RunningCommand(process.execPath, ['dist/cli/users.js', 'create', newEmail()], {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: url },
      keepsInputOpen: true,
    });
  }

  it('gives up waiting for a password at Ctrl-C', async () => {
    const command = startCreating(database.url);
    await eventually(async () => (await countFeeds()) === 2, { withinMs: 20_000 });
    command.signalGroup('SIGINT');
    expect(await command.end()).toEqual({ exitCode: 1, stdout: '', stderr: 'Interrupted; nothing was done.\n' });
  });

  it('gives up waiting for a database at Ctrl-C', async () => {
    const command = startCreating('postgres://nobody@127.0.0.1:1/none');
    await command.said(/Waiting for the database of DATABASE_URL/);
    command.signalGroup('SIGINT');
    expect((await command.end()).exitCode).toBe(1);
  });

  it('invariant 8: never shows a password that it was given', () => {
    expect(outputs.length).toBeGreaterThan(0);
    expect(outputs.filter((output) => output.includes('pw-secret-'))).toEqual([]);
  });

  /** Counts the feed of the service, and that of a command that is past its start. */
  async function countFeeds(): Promise<number> {
    const feeds = await database.sql(
      `select pid from pg_stat_activity
       where datname = current_database() and application_name = 'ratchet revocations'`,
    );
    return feeds.length;
  }
});

describe('the users command over the embedded PostgreSQL', () => {
  let checkout: string;
  let dataDir: string;
  let running: RunningCommand | undefined;

  function options(input = ''): CommandOptions {
    return { workingDirectory: checkout, environment: { NODE_ENV: 'test', DATA_DIR: dataDir, PORT: '0' }, input };
  }

  function users(args: readonly string[], input = ''): Promise<CommandResult> {
    return runCommand(process.execPath, ['dist/cli/users.js', ...args], options(input));
  }

  /** What a start says that joins a running service while a minute passes at each of its steps. */
  async function linesOfSlowJoin(): Promise<string[]> {
    const lines: string[] = [];
    const joining = { isOver: false };
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const starting = startEmbeddedPostgres({
        dataDirectory: dataDir,
        whenInUse: 'join',
        onProgress: (line) => lines.push(line),
      }).finally(() => {
        joining.isOver = true;
      });
      while (!joining.isOver) {
        vi.advanceTimersByTime(60_000);
        await nextTurn();
      }
      await (await starting).stop();
    } finally {
      vi.useRealTimers();
    }
    return lines;
  }

  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-users-'));
    await copyCheckout(checkout);
    dataDir = join(checkout, 'data');
  });

  afterEach(async () => {
    running?.signalGroup('SIGKILL');
    await killPostgresOf(dataDir);
  });

  afterAll(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  it('starts it when no service runs, keeps what it did, and leaves no process behind', async () => {
    const email = newEmail();
    const created = await users(['create', email], newPassword());
    expect(created.exitCode).toBe(0);
    expect(created.stderr).toMatch(/^Preparing the embedded PostgreSQL in .* \(first start only\)…\n/);
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
    const listed = await users(['list', '--json']);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ email }]);
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });

  it('joins that of a running service, which learns of it and keeps running', async () => {
    running = new RunningCommand(process.execPath, ['dist/main.js'], options());
    const [, url = ''] = await running.said(/"url":"([^"]+)"/);
    const client = new TestClient(url);

    const account = { email: newEmail(), password: newPassword() };
    expect(await users(['create', account.email], account.password)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await linesOfSlowJoin()).toEqual([]);
    const { access_token: accessToken } = await client.signIn(account);
    expect((await users(['disable', account.email])).stdout).toBe(`Disabled ${account.email}; 1 session ended.\n`);
    await eventually(async () => (await client.me(accessToken)).status === 401, { withinMs: REVOCATION_BOUND_MS });
    expect((await client.get('/health/ready')).status).toBe(200);

    running.signal('SIGTERM');
    expect((await running.end()).exitCode).toBe(0);
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });
});
