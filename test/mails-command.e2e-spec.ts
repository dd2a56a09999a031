import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';
import { mailsCommand } from '../src/cli/mails.command.js';
import { runInProcess } from './support/command-in-process.js';
import type { CommandResult } from './support/run-command.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useDatabase } from './support/use-service.js';

describe('the mails command', () => {
  const database = useDatabase();

  beforeEach(() => database.sql('delete from outgoing_mails'));

  function mails(...args: string[]): Promise<CommandResult> {
    return runInProcess(mailsCommand, args, {
      workingDirectory: tmpdir(),
      environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: database.url },
      input: '',
    });
  }

  /** Stores a mail that was tried thrice. */
  async function store(
    state: 'waits' | 'was sent' | 'was given up',
    recipient: string | null = 'ada@example.com',
  ): Promise<string> {
    const id = randomUUID();
    await database.sql(
      `insert into outgoing_mails
         (id, template, recipient, params, created_at, attempts, next_attempt_at, sent_at, failed_at, last_error)
       select $1, 'password_reset', $2, '{}', at, 3, at + interval '8 minutes',
         case $3::text when 'was sent' then at end, case $3::text when 'was given up' then at end, 'EENVELOPE 550 RCPT TO'
       from clock_timestamp() as at`,
      [id, recipient, state],
    );
    return id;
  }

  async function due(): Promise<unknown[]> {
    return database.sql(
      `select id, attempts, last_error from outgoing_mails
       where sent_at is null and failed_at is null and next_attempt_at <= clock_timestamp()`,
    );
  }

  it('lists what waits and what was given up, and neither what was sent nor what goes to nobody', async () => {
    const waiting = await store('waits');
    await store('was sent');
    await store('waits', null);
    const givenUp = await store('was given up', 'bo@example.com');
    const { exitCode, stdout } = await mails('list');
    const [heading, ...lines] = stdout.trimEnd().split('\n');
    expect({ exitCode, heading }).toEqual({
      exitCode: 0,
      heading: expect.stringMatching(/^ID +MAIL +TO +CREATED +ATTEMPTS +NEXT +REASON$/) as unknown,
    });
    expect(lines).toEqual([
      expect.stringMatching(
        new RegExp(`^${waiting} +password_reset +ada@example.com +\\S+Z +3 +\\S+Z +EENVELOPE 550 RCPT TO$`),
      ),
      expect.stringMatching(
        new RegExp(`^${givenUp} +password_reset +bo@example.com +\\S+Z +3 +given up +EENVELOPE 550 RCPT TO$`),
      ),
    ]);
    const json = JSON.parse((await mails('list', '--json', '--limit', '1')).stdout) as unknown;
    expect(json).toEqual([
      {
        id: waiting,
        template: 'password_reset',
        recipient: 'ada@example.com',
        created_at: expect.any(String) as unknown,
        attempts: 3,
        next_attempt_at: expect.any(String) as unknown,
        failed_at: null,
        last_error: 'EENVELOPE 550 RCPT TO',
      },
    ]);
  });

  it('lists nothing in a sentence, and names --limit where there is more', async () => {
    expect(await mails('list')).toMatchObject({ exitCode: 0, stdout: 'Every mail has been sent.\n' });
    await store('waits');
    await store('waits');
    expect(await mails('list', '--limit', '1')).toMatchObject({ stderr: 'There are more: see --limit.\n' });
  });

  it('makes one mail due, whether it waits or was given up, and counts its attempts anew', async () => {
    const waiting = await store('waits');
    const givenUp = await store('was given up');
    expect(await due()).toEqual([]);
    for (const id of [waiting, givenUp.toUpperCase()]) {
      expect(await mails('retry', id)).toMatchObject({ exitCode: 0, stdout: '1 mail is due now.\n' });
    }
    expect(await due()).toEqual(
      expect.arrayContaining([waiting, givenUp].map((id) => ({ id, attempts: 0, last_error: null }))),
    );
  });

  it('makes all mails due that were given up, and no other one', async () => {
    await store('waits');
    await store('was sent');
    const givenUp = [await store('was given up'), await store('was given up')];
    expect(await mails('retry', '--all')).toMatchObject({ exitCode: 0, stdout: '2 mails are due now.\n' });
    expect(await due()).toHaveLength(2);
    expect(await due()).toEqual(expect.arrayContaining(givenUp.map((id) => ({ id, attempts: 0, last_error: null }))));
  });

  it('refuses to retry what was sent, is unknown or is no id, and a call without either', async () => {
    for (const id of [await store('was sent'), randomUUID(), '1; drop table users']) {
      expect(await mails('retry', id)).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: `No mail ${id} waits or was given up.\n`,
      });
    }
    expect((await mails('retry')).exitCode).toBe(2);
    expect((await mails('retry', randomUUID(), '--all')).exitCode).toBe(2);
    expect((await mails('list', '--limit', '0')).exitCode).toBe(2);
  });

  it('says where it looked when no mail has become a file', async () => {
    const { exitCode, stderr } = await mails('show');
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(/^There is no mail in .*mails\.\n$/) as unknown,
    });
  });
});
