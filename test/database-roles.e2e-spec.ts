import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { hash } from '@node-rs/argon2';
import { Client } from 'pg';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { LOCKS } from '../src/platform/database/locks.js';
import { migrateDatabase, revertMigration } from '../src/platform/database/migrate.js';
import { openDatabase } from '../src/platform/database/open-database.js';
import { listMissingPrivileges, SERVICE_PRIVILEGES } from '../src/platform/database/service-privileges.js';
import { withClient } from '../src/platform/database/with-client.js';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { UsersRepository } from '../src/users/users.repository.js';
import { UsersService } from '../src/users/users.service.js';
import { createDatabaseWithRoles, type DatabaseRole, type DatabaseWithRoles } from './support/database-roles.js';
import { eventually } from './support/eventually.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { type CommandResult, runCommand } from './support/run-command.js';
import { ServiceProcess } from './support/service-process.js';
import {
  claimsOf,
  codeOf,
  newEmail,
  newIdempotencyKey,
  newPassword,
  pairOf,
  sessionIdOf,
  type TestClient,
} from './support/test-client.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { TICKETS_ON, TicketDesk } from './support/ticket-desk.js';

/** Within which every instance refuses the tokens of an ended session. */
const REVOCATION_BOUND_MS = 1_000;

const PERMISSION_DENIED = { code: '42501' };

describe('a database with a role for each purpose', () => {
  let database: DatabaseWithRoles;
  let near: TestService;
  let far: TestService;
  let client: TestClient;

  beforeAll(async () => {
    database = await createDatabaseWithRoles('empty');
    await migrateDatabase(database.migrator.url);
    await database.applyGrants();
    const settings = { MAX_SESSIONS_PER_USER: '2', PASSWORD_HASH_COST: 'full' };
    near = await startService(database.service, { ...settings, ...TICKETS_ON });
    far = await startService(database.service);
    ({ client } = near);
  });

  afterAll(async () => {
    await Promise.all([near.stop(), far.stop()]);
    await database.close();
  });

  async function expectRefusedEverywhere(accessToken: string): Promise<void> {
    expectProblem(await near.client.me(accessToken), 'access_token_revoked');
    await eventually(async () => (await far.client.me(accessToken)).status === 401, { withinMs: REVOCATION_BOUND_MS });
    expectProblem(await far.client.me(accessToken), 'access_token_revoked');
  }

  describe('served by ratchet_service', () => {
    it('makes the first signing key, is ready, and signs with it', async () => {
      expect(await database.sql('select algorithm, status from signing_keys')).toEqual([
        { algorithm: 'ES256', status: 'active' },
      ]);
      expect((await client.get('/health/ready')).status).toBe(200);
      const { pair, id } = await client.signUpAndIn();
      expect((await far.client.me(pair.access_token)).body).toMatchObject({ id, roles: [] });
    });

    it('registers an account once, also when it has to repeat the statement', async () => {
      const { email, password } = await client.signUp();
      expectProblem(await client.register({ email, password }), 'email_taken');

      const [user] = await database.sql<{ id: string; passwordHash: string }>(
        'select id, password_hash as "passwordHash" from users where email = $1',
        [email],
      );
      const repeated = await near.app.get(UsersRepository).insertUser({ ...user!, email, roles: [] });
      expect(repeated).toMatchObject({ id: user!.id, email });
    });

    it('rotates, repeats an answer, and ends a session whose old token is shown again', async () => {
      const { pair } = await client.signUpAndIn();
      const key = newIdempotencyKey();
      const next = await client.rotate(pair.refresh_token, key);
      expect((await far.client.rotate(pair.refresh_token, key)).refresh_token).toBe(next.refresh_token);
      expectProblem(await far.client.refresh(pair.refresh_token), 'refresh_token_reused');
      expectProblem(await client.refresh(next.refresh_token), 'refresh_token_reused');
    });

    it('rolls forward to a token that is newer than the database', async () => {
      const { pair } = await client.signUpAndIn();
      const next = await client.rotate(pair.refresh_token);
      await database.sql('update refresh_token_families set generation = 1 where id = $1', [sessionIdOf(pair)]);
      await client.rotate(next.refresh_token);
    });

    it.each([
      ['a logout', (token: string, refreshToken: string) => client.logout({ accessToken: token, refreshToken })],
      ['a logout everywhere', (token: string) => client.logoutAll(token)],
      ['the end of one session', (token: string) => client.endSession(token, sessionIdOf({ access_token: token }))],
    ])('takes %s to every instance, by a notification', async (_end, end) => {
      const { pair } = await client.signUpAndIn();
      const listener = new Client({ connectionString: database.service.url });
      await listener.connect();
      await listener.query('listen ratchet_revocations');
      const notified = once(listener, 'notification');
      expect((await end(pair.access_token, pair.refresh_token)).status).toBe(204);
      await notified;
      await listener.end();
      await expectRefusedEverywhere(pair.access_token);
    });

    it('lists sessions and makes room for one more at the expense of the oldest', async () => {
      const { pair: oldest, ...account } = await client.signUpAndIn();
      const kept = [await client.signIn(account), await client.signIn(account)];
      const listed = (await client.sessions(kept[0]!.access_token)).body as { sessions: { id: string }[] };
      expect(listed.sessions.map(({ id }) => id).sort()).toEqual(kept.map(sessionIdOf).sort());
      await expectRefusedEverywhere(oldest.access_token);
    });

    it('changes a password, and raises the parameters of an old hash at a login', async () => {
      const account = await client.signUpAndIn();
      const password = newPassword();
      const changed = await client.changePassword(account.pair.access_token, account.password, password);
      expect((await far.client.me(pairOf(changed).access_token)).status).toBe(200);
      await expectRefusedEverywhere(account.pair.access_token);

      const weak = await hash(password, { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
      await database.sql('update users set password_hash = $2 where id = $1', [account.id, weak]);
      await client.signIn({ email: account.email, password });
      const [row] = await database.sql<{ password_hash: string }>('select password_hash from users where id = $1', [
        account.id,
      ]);
      expect(row!.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,/);
    });

    it('deletes sessions that are long past their end', async () => {
      const { pair } = await client.signUpAndIn();
      await ageSession(database, sessionIdOf(pair), 40 * 86_400);
      expect(await near.app.get(TombstoneCleanerService).clean()).toBe(1);
      expect(await database.sql('select 1 from refresh_token_families where id = $1', [sessionIdOf(pair)])).toEqual([]);
    });

    it('issues tickets, counts wrong codes, consumes them and deletes them', async () => {
      const desk = new TicketDesk(near);
      const { id: userId } = await client.signUp();
      const ticket = await desk.issue('sign_in_code', { userId });
      const token = desk.tickets.tokenOf(ticket, 'sc1');
      expect(await desk.present('sc1', token, { code: 'wrong' })).toEqual({ kind: 'unproven' });
      expect(await desk.present('sc1', token, { code: desk.tickets.codeOf(ticket) })).toMatchObject({
        kind: 'consumed',
      });
      await database.sql(`update tickets set expires_at = now() - interval '2 hours' where id = $1`, [ticket.id]);
      expect(await near.app.get(TombstoneCleanerService).clean()).toBe(1);
    });

    it('counts attempts, and forgets them', async () => {
      const limited = await startService(database.service, { RATE_LIMITS: 'on' });
      const { email, password } = await limited.client.signUp();
      expectProblem(await limited.client.login({ email, password: newPassword() }), 'invalid_credentials');
      expect(await database.sql('select 1 from rate_limits where points > 0')).not.toEqual([]);
      await limited.client.signIn({ email, password });
      await limited.stop();
    });

    it('is denied nothing in all of this', () => {
      const denied = [...near.logs, ...far.logs]
        .map((line) => JSON.stringify(line))
        .filter((line) => line.includes('permission denied'));
      expect(denied).toEqual([]);
    });
  });

  it('gives ratchet_service exactly what the service looks for at its start', async () => {
    const granted = await database.sql<{ privilege: string }>(
      `select lower(privilege_type) || ' on ' || relname as privilege
       from pg_class, aclexplode(relacl) where grantee = $1::regrole and relkind in ('r', 'v', 'S')
       union all
       select lower(privilege_type) || ' (' || attname || ') on ' || relname
       from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl) where grantee = $1::regrole`,
      [database.service.name],
    );
    const needed = SERVICE_PRIVILEGES.flatMap(({ table, privilege, columns }) =>
      columns === undefined
        ? [`${privilege} on ${table}`]
        : columns.map((column) => `${privilege} (${column}) on ${table}`),
    );
    expect(granted.map(({ privilege }) => privilege).sort()).toEqual(needed.sort());
  });

  it('gives every other role nothing: no connection, no temporary table, no table of its own', async () => {
    const [rights] = await database.sql(
      `select has_database_privilege('public', current_database(), 'connect') as connect,
         has_database_privilege('public', current_database(), 'temporary') as temporary,
         has_schema_privilege('public', 'public', 'create') as create,
         has_table_privilege('public', 'users', 'select') or has_any_column_privilege('public', 'users', 'select') as read`,
    );
    expect(rights).toEqual({ connect: false, temporary: false, create: false, read: false });
  });

  it('makes roles of no power over the server, which look for names in one schema', async () => {
    for (const role of [database.migrator, database.service, database.operator]) {
      expect(
        await role.sql(
          `select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
             current_setting('search_path') as search_path
           from pg_roles where rolname = current_user`,
        ),
      ).toEqual([
        {
          rolsuper: false,
          rolcreatedb: false,
          rolcreaterole: false,
          rolreplication: false,
          rolbypassrls: false,
          search_path: 'public, pg_temp',
        },
      ]);
    }
  });

  describe('refuses ratchet_service', () => {
    beforeAll(async () => {
      await database.sql(`create schema payroll authorization ${database.migrator.name}`);
      await database.migrator.sql(
        `create table payroll.salaries (amount integer);
         create view payroll.total as select sum(amount) from payroll.salaries`,
      );
      await database.migrator.sql('create table not_granted (id integer)');
    });

    it.each([
      'alter table users add column is_owned boolean',
      'alter table users drop constraint users_status_check',
      'alter table refresh_token_families disable trigger all',
      'alter table users owner to current_user',
      'drop table users',
      'drop function are_role_names(text[]) cascade',
      'truncate users',
      'truncate refresh_token_families',
      'truncate signing_keys',
      'truncate rate_limits',
      'truncate tickets',
      'truncate outgoing_mails',
      'truncate known_clients',
      'create table mine (id integer)',
      'create temporary table users (id uuid)',
      'create schema mine',
      'create view mine as select 1 as one',
      `create function pg_temp.mine() returns integer language sql return 1`,
      `create or replace function are_role_names(names text[]) returns boolean language sql immutable return true`,
      'create index mine on users (status)',
      'create trigger mine before update on users execute function suppress_redundant_updates_trigger()',
      'create policy mine on users',
      'create rule mine as on update to users do instead nothing',
      'create publication mine for table users',
      'create role mine',
      'create database mine',
      'alter role current_user createrole',
      'alter system set fsync = off',
      `copy users to program 'cat'`,
      `select pg_read_file('PG_VERSION')`,
      'select rolpassword from pg_authid',
      'do $$ begin lock table users in access exclusive mode; end $$',
    ])('the right to: %s', async (statement) => {
      await expect(database.service.sql(statement)).rejects.toMatchObject(PERMISSION_DENIED);
    });

    it.each([
      'users.id',
      'users.status',
      'users.roles',
      'users.created_at',
      'refresh_token_families.id',
      'refresh_token_families.user_id',
      'refresh_token_families.secret_hash',
      'refresh_token_families.created_at',
      'refresh_token_families.expires_at',
      'signing_keys.kid',
      'signing_keys.algorithm',
      'signing_keys.public_jwk',
      'signing_keys.private_key_encrypted',
      'signing_keys.encryption_key_id',
      'signing_keys.created_at',
      'rate_limits.key',
      'tickets.id',
      'tickets.purpose',
      'tickets.key_id',
      'tickets.user_id',
      'tickets.email',
      'tickets.credential_version',
      'tickets.data',
      'tickets.created_at',
      'tickets.expires_at',
      'outgoing_mails.id',
      'outgoing_mails.template',
      'outgoing_mails.locale',
      'outgoing_mails.ticket_id',
      'outgoing_mails.created_at',
      'known_clients.user_id',
      'known_clients.fingerprint',
      'schema_migrations.name',
    ])('a change of %s', async (name) => {
      const [table = '', column = ''] = name.split('.');
      await expect(database.service.sql(`update ${table} set ${column} = ${column}`)).rejects.toMatchObject(
        PERMISSION_DENIED,
      );
    });

    it.each([
      `insert into users (id, email, password_hash, roles) values (gen_random_uuid(), 'eve@example.com', '-', '{admin}')`,
      `insert into users (id, email, password_hash, status) values (gen_random_uuid(), 'eve@example.com', '-', 'active')`,
      'delete from users',
      'delete from schema_migrations',
      `insert into schema_migrations (timestamp, name) values (1, 'Mine1')`,
      'select * from payroll.salaries',
      'select * from payroll.total',
      'select * from not_granted',
    ])('rows: %s', async (statement) => {
      await expect(database.service.sql(statement)).rejects.toMatchObject(PERMISSION_DENIED);
    });

    it('the deletion of an account, and the attempt ends no session', async () => {
      const { pair, id } = await client.signUpAndIn();
      const accounts = near.app.get(AccountsService);
      await expect(accounts.delete(id)).rejects.toMatchObject(PERMISSION_DENIED);
      await expect(accounts.disable(id)).rejects.toMatchObject(PERMISSION_DENIED);
      await client.rotate(pair.refresh_token);
    });

    it('the place of another role', async () => {
      for (const { name } of [database.migrator, database.operator]) {
        await expect(database.service.sql(`set role ${name}`)).rejects.toMatchObject(PERMISSION_DENIED);
        await expect(database.service.sql(`set session authorization ${name}`)).rejects.toMatchObject(
          PERMISSION_DENIED,
        );
        await expect(database.service.sql(`grant ${name} to ${database.service.name}`)).rejects.toMatchObject(
          PERMISSION_DENIED,
        );
      }
    });

    it('the right to grant its privileges to others', async () => {
      await database.service.sql('grant select on users to public').catch(() => undefined);
      expect(await database.sql(`select has_table_privilege('public', 'users', 'select') as can`)).toEqual([
        { can: false },
      ]);
    });
  });

  describe('gives ratchet_operator', () => {
    it('what only an operator decides: roles, status, the password and factors of another, the end of an account', async () => {
      const desk = await startService(database.operator);
      const [users, accounts] = [desk.app.get(UsersService), desk.app.get(AccountsService)];
      const { pair, ...account } = await client.signUpAndIn();
      await users.setRoles(account.id, ['editor']);
      expect(claimsOf((await client.rotate(pair.refresh_token)).access_token)['roles']).toEqual(['editor']);
      expect(await accounts.disable(account.id)).toBe(1);
      expectProblem(await client.login({ email: account.email, password: account.password }), 'account_disabled');
      await accounts.enable(account.id);
      const password = newPassword();
      await accounts.setPassword(account.id, password);
      await client.signIn({ email: account.email, password });
      await database.operator.sql(`update users set second_factors = '{totp}' where id = $1`, [account.id]);
      expect(codeOf(await client.login({ email: account.email, password }))).toBe('second_factor_required');
      expect(await accounts.resetFactors(account.id)).toEqual({ endedCount: 1, removedKinds: ['totp'] });
      await client.signIn({ email: account.email, password });
      expect(await accounts.delete(account.id)).toBe(1);
      expectProblem(await client.login({ email: account.email, password }), 'invalid_credentials');
      await desk.stop();
    });

    it('all that the command line needs, and ratchet_service not', async () => {
      const [email, password] = [newEmail(), newPassword()];
      const create = ['create', email, '--roles', 'admin'];
      expect(await runCli('users', create, database.service, `${password}\n`)).toEqual({
        exitCode: 1,
        stdout: '',
        stderr:
          "The role of DATABASE_URL may not do this; nothing was done. Connect as the operator's, see postgres/roles.sql.\n",
      });
      const { exitCode, stderr } = await runCli('users', create, database.operator, `${password}\n`);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(claimsOf((await client.signIn({ email, password })).access_token)['roles']).toEqual(['admin']);
    });

    it('the encryption of signing keys under another secret', async () => {
      await database.operator.sql(
        'update signing_keys set private_key_encrypted = private_key_encrypted, encryption_key_id = encryption_key_id',
      );
    });

    it.each([
      'alter table users add column is_owned boolean',
      'create table mine (id integer)',
      'truncate users',
      'update users set created_at = created_at',
      'update users set id = id',
      'update refresh_token_families set user_id = user_id',
      'update refresh_token_families set expires_at = expires_at',
      'update signing_keys set public_jwk = public_jwk',
      'delete from schema_migrations',
      'select rolpassword from pg_authid',
    ])('and not: %s', async (statement) => {
      await expect(database.operator.sql(statement)).rejects.toMatchObject(PERMISSION_DENIED);
    });
  });
});

describe('roles and migrations', () => {
  let database: DatabaseWithRoles;

  beforeEach(async () => {
    database = await createDatabaseWithRoles('empty');
    await migrateDatabase(database.migrator.url);
    await database.applyGrants();
  });

  afterEach(async () => {
    await database.close();
  });

  /** The program as an operator starts it, to the end of its attempt. */
  function startProgram(): ServiceProcess {
    return new ServiceProcess({ AUTH_SECRET, DATABASE_URL: database.service.url });
  }

  async function expectStart(): Promise<void> {
    const program = startProgram();
    const client = await program.listening();
    expect((await client.get('/health/ready')).status).toBe(200);
    program.signal('SIGTERM');
    expect((await program.ended()).code).toBe(0);
  }

  async function expectNoStart(reason: RegExp): Promise<void> {
    const program = startProgram();
    expect(await program.ended()).toEqual({ code: 1, signal: null });
    expect(program.errorOutput).toMatch(reason);
  }

  it('the service starts on a schema that is up to date while another connection holds the migration lock', async () => {
    const holder = new Client({ connectionString: database.migrator.url });
    await holder.connect();
    await holder.query('select pg_advisory_lock($1)', [LOCKS.migrations]);
    await expectStart();
    await holder.end();
  });

  it('the service starts neither before its migrations nor before its grants, and says which it waits for', async () => {
    let undone: string | undefined;
    for (let name = await revertMigration(database.migrator.url); name !== undefined;) {
      undone = name;
      name = await revertMigration(database.migrator.url);
    }
    const first = String(undone);
    await expectNoStart(
      new RegExp(
        `^The role of DATABASE_URL may not change the schema, and the database lacks ${first}.*\\. Run "npm run ` +
          'migration:run" \\(in the image: "node dist/cli/migration\\.js run"\\) as the role that owns the schema, ' +
          'and postgres/grants\\.sql after it\\.\\n$',
      ),
    );

    expect((await runCli('migration', ['run'], database.migrator)).stdout).toBe('Every migration has been applied.\n');
    // A database that has lost its tables has lost what was granted on them.
    await expectNoStart(
      /^The role of DATABASE_URL lacks privileges: select on users, .*\. Run postgres\/grants\.sql as the role that owns the schema\.\n$/,
    );
    await database.applyGrants();
    await expectStart();
  });

  it('grants.sql before the migrations is refused in one sentence that says what to do', async () => {
    const empty = await createDatabaseWithRoles('empty');
    await expect(empty.applyGrants()).rejects.toThrow(
      /^the tables do not exist yet; run the migrations first, as ratchet_migrator\w*: npm run migration:run$/,
    );
    await empty.close();
  });

  it('the service waits for a migration in progress and starts when it is done', async () => {
    const [latest] = await database.sql<{ name: string; timestamp: string }>(
      `delete from schema_migrations where id = (select max(id) from schema_migrations) returning name, timestamp`,
    );
    const migrator = new Client({ connectionString: database.migrator.url });
    await migrator.connect();
    await migrator.query('select pg_advisory_lock($1)', [LOCKS.migrations]);
    const { url } = database.service;
    const opening = openDatabase(
      { url, directUrl: url, poolSize: 1, dataDir: '' },
      () => undefined,
      new AbortController().signal,
    );
    await eventually(
      async () => {
        const waiting = await database.sql(
          `select 1 from pg_stat_activity
           where datname = current_database() and application_name = 'ratchet migrations' and wait_event = 'advisory'`,
        );
        return waiting.length === 1;
      },
      { withinMs: 10_000 },
    );
    await migrator.query('insert into schema_migrations (name, timestamp) values ($1, $2)', [
      latest!.name,
      latest!.timestamp,
    ]);
    await migrator.end();
    await (await opening).close();
  });

  it('the service names at its start the single privilege that it lacks', async () => {
    for (const { table, privilege, columns } of SERVICE_PRIVILEGES) {
      const column = columns?.at(-1);
      const lost = `${privilege}${column === undefined ? '' : ` (${column})`} on ${table}`;
      await database.migrator.sql(`revoke ${lost} from ${database.service.name}`);
      expect(await withClient(database.service.url, listMissingPrivileges)).toEqual([lost]);
      await database.applyGrants();
    }
    expect(await withClient(database.service.url, listMissingPrivileges)).toEqual([]);
  });

  it('roles.sql and grants.sql change nothing when they are run again', async () => {
    const before = await describeRights();
    await database.applyRoles();
    await database.applyGrants();
    expect(await describeRights()).toEqual(before);
  });

  it('grants.sql takes back what it does not grant', async () => {
    const before = await describeRights();
    await database.migrator.sql(
      `grant update, trigger on users to ${database.service.name};
       grant select (email) on users to public;
       grant truncate on refresh_token_families to ${database.operator.name}`,
    );
    expect(await describeRights()).not.toEqual(before);
    await database.applyGrants();
    expect(await describeRights()).toEqual(before);
  });

  it('roles.sql takes over a database that one role has migrated and served so far', async () => {
    const taken = await createDatabaseWithRoles('migrated');
    await taken.applyGrants();
    expect(taken.withUsualNames(JSON.stringify(await describeRights(taken)))).toBe(
      database.withUsualNames(JSON.stringify(await describeRights())),
    );
    const service = await startService(taken.service);
    await service.client.signUpAndIn();
    await service.stop();
    await taken.close();
  });

  /** Who owns what, and who may do what with it, in the whole database. */
  async function describeRights(of = database): Promise<string[]> {
    const rows = await of.sql<{ line: string }>(
      `select format('relation %s %s %s', relname, relowner::regrole, array(select unnest(relacl)::text order by 1)) as line
       from pg_class where relnamespace = 'public'::regnamespace
       union all
       select format('column %s %s %s', attrelid::regclass, attname, array(select unnest(attacl)::text order by 1))
       from pg_attribute where attacl is not null and attrelid::regclass::text not like 'pg\\_%'
       union all
       select format('function %s %s %s', proname, proowner::regrole, array(select unnest(proacl)::text order by 1))
       from pg_proc where pronamespace = 'public'::regnamespace
       union all
       select format('schema %s %s', nspname, array(select unnest(nspacl)::text order by 1))
       from pg_namespace where nspname = 'public'
       union all
       select format('database %s', array(select unnest(datacl)::text order by 1))
       from pg_database where datname = current_database()
       union all
       select format('member %s %s', roleid::regrole, member::regrole) from pg_auth_members
       where roleid = $1::regrole or member = $1::regrole
       union all
       select format('setting %s %s', setrole::regrole, setconfig) from pg_db_role_setting
       join pg_database on pg_database.oid = setdatabase where datname = current_database()
       order by line`,
      [of.service.name],
    );
    return rows.map(({ line }) => of.withUsualNames(line)).sort();
  }
});

function runCli(
  command: 'users' | 'migration',
  args: readonly string[],
  { url }: DatabaseRole,
  input = '',
): Promise<CommandResult> {
  return runCommand(process.execPath, [fileURLToPath(new URL(`../dist/cli/${command}.js`, import.meta.url)), ...args], {
    environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: url },
    // Without a .env that a developer may have put into the checkout.
    workingDirectory: tmpdir(),
    input,
  });
}
