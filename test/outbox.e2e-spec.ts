import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SmtpTransport } from '../src/mail/smtp.transport.js';
import { MailWorkerService } from '../src/mail/mail-worker.service.js';
import { OutboxService } from '../src/mail/outbox.service.js';
import type { OutgoingMail } from '../src/mail/mail.types.js';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { TicketsService } from '../src/tickets/tickets.service.js';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { eventually } from './support/eventually.js';
import { type ReceivedMail, useMailbox } from './support/mailbox.js';
import { ServiceProcess } from './support/service-process.js';
import { newEmail, newPassword } from './support/test-client.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

/** Two starts on a machine that is busy with other tests. */
const LONGEST_PROCESS_TEST_MS = 90_000;

const WITHIN = { withinMs: 15_000 };

interface Row {
  readonly attempts: number;
  readonly sent: boolean;
  readonly failed: boolean;
  readonly last_error: string | null;
}

describe('the outbox', () => {
  const database = useDatabase();
  const mailbox = useMailbox();
  const environment = (): Record<string, string> => ({
    MAIL_URL: mailbox.url,
    MAIL_FROM: 'Exämple, Inc. <no-reply@example.com>',
    ACCOUNT_URL: 'https://app.example.com/account',
    JWT_ISSUER: 'https://auth.example.com/ratchet',
    METRICS_PORT: '0',
  });
  const service = useInstance(database, environment);

  beforeEach(async () => {
    mailbox.mode = 'ok';
    mailbox.answerHanging();
    mailbox.messages.length = 0;
    await database.sql('delete from outgoing_mails');
  });

  interface Enqueued {
    readonly id: string;
    readonly to: string;
    readonly token: string;
    readonly code: string;
  }

  /** Puts a mail into the outbox as a flow does, with a ticket of its own. */
  async function enqueue(
    mail: { readonly [Key in keyof OutgoingMail]?: OutgoingMail[Key] | undefined } = {},
  ): Promise<Enqueued> {
    const tickets = service.app.get(TicketsService, { strict: false });
    const outbox = service.app.get(OutboxService, { strict: false });
    const ticket = tickets.newTicket('sign_in_code');
    const { template = 'sign_in_code', locale, params } = mail;
    const to = 'recipient' in mail ? mail.recipient : newEmail();
    const id = randomUUID();
    const hasTicket = !('ticket' in mail);
    await service.app.get(DatabaseService).transaction(async (transaction) => {
      await tickets.issue(transaction, ticket, {});
      await outbox.enqueue(transaction, {
        id,
        template,
        recipient: to,
        locale,
        ...(hasTicket && { ticket }),
        ...(params !== undefined && { params }),
      });
    });
    const token = tickets.tokenOf(ticket, 'sl1');
    return { id, to: to ?? '', token, code: tickets.codeOf(ticket) };
  }

  function sendDue(at: TestService = service): Promise<void> {
    return at.app.get(MailWorkerService, { strict: false }).sendDue();
  }

  async function rowOf(id: string): Promise<Row | undefined> {
    const [row] = await database.sql<Row>(
      `select attempts, sent_at is not null as sent, failed_at is not null as failed, last_error
       from outgoing_mails where id = $1`,
      [id],
    );
    return row;
  }

  const makeDue = (id: string): Promise<unknown> =>
    database.sql('update outgoing_mails set next_attempt_at = clock_timestamp() where id = $1', [id]);

  it('sends a mail once, with its link and its code, to its recipient alone', async () => {
    const { id, to, token, code } = await enqueue();
    await sendDue();
    await sendDue();
    const mail = await mailbox.next({ to });
    expect(mailbox.messages).toHaveLength(1);
    expect(mail).toMatchObject({
      messageId: `<${id}@auth.example.com>`,
      from: '"Exämple, Inc." <no-reply@example.com>',
      links: [`https://app.example.com/account#sign_in_code=${token}`],
      codes: [code],
    });
    expect(mail.html).toContain(`https://app.example.com/account#sign_in_code=${token}`);
    expect(mail.headers.get('auto-submitted')).toBe('Auto-Submitted: auto-generated');
    expect(mail.headers.get('to')).toBe(`To: ${to}`);
    expect(await rowOf(id)).toEqual({ attempts: 1, sent: true, failed: false, last_error: null });
  });

  it('sends a mail when it is woken, long before it would look by itself', async () => {
    const { to } = await enqueue();
    service.app.get(OutboxService, { strict: false }).wake();
    await mailbox.next({ to });
  });

  it('sends nothing of a transaction that is rolled back, and nothing to nobody', async () => {
    const outbox = service.app.get(OutboxService, { strict: false });
    const mail = { id: randomUUID(), template: 'address_taken', recipient: newEmail(), locale: undefined } as const;
    const failure = new Error('the cause has failed');
    const cause = service.app.get(DatabaseService).transaction(async (transaction) => {
      await outbox.enqueue(transaction, mail);
      throw failure;
    });
    await expect(cause).rejects.toBe(failure);
    const toNobody = await enqueue({ recipient: undefined });
    await sendDue();
    expect(mailbox.messages).toEqual([]);
    expect([await rowOf(mail.id), await rowOf(toNobody.id)]).toEqual([undefined, undefined]);
  });

  it('shows how many mails wait, for how long, and what became of the others, and nothing about them', async () => {
    const metrics = async (): Promise<string> => {
      const port = service.logs.find(({ event }) => event === 'metrics_listening')?.['port'];
      return (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
    };
    const valueOf = (text: string, name: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.slice(name.length),
      );
    const before = await metrics();
    expect([valueOf(before, 'ratchet_mails_waiting'), valueOf(before, 'ratchet_oldest_mail_age_seconds')]).toEqual([
      0, 0,
    ]);
    const { to, token, code } = await enqueue();
    await sendDue();
    mailbox.mode = '550';
    await enqueue();
    await sendDue();
    mailbox.mode = '451';
    const waiting = await enqueue();
    await sendDue();
    await database.sql(`update outgoing_mails set created_at = created_at - interval '1 hour' where id = $1`, [
      waiting.id,
    ]);
    const after = await metrics();
    const changes = ['sent', 'failed', 'delayed'].map((outcome) => {
      const name = `ratchet_mails_total{outcome="${outcome}"}`;
      return valueOf(after, name) - (valueOf(before, name) || 0);
    });
    expect([...changes, valueOf(after, 'ratchet_mails_waiting')]).toEqual([1, 1, 1, 1]);
    expect(Math.round(valueOf(after, 'ratchet_oldest_mail_age_seconds') / 60)).toBe(60);
    for (const secret of [to, token, code, waiting.to, waiting.code]) {
      expect(after).not.toContain(secret);
      expect(JSON.stringify(service.logs)).not.toContain(secret);
    }
  });

  it('makes one mail of a retry with the same id', async () => {
    const outbox = service.app.get(OutboxService, { strict: false });
    const mail = { id: randomUUID(), template: 'address_taken', recipient: newEmail(), locale: undefined } as const;
    await outbox.enqueue(service.app.get(DatabaseService), mail);
    await outbox.enqueue(service.app.get(DatabaseService), mail);
    await sendDue();
    expect(mailbox.messages).toHaveLength(1);
  });

  it('retries a mail that is refused for now, a minute later, then two, with the same Message-ID, link and code', async () => {
    mailbox.mode = '451';
    const { id, to, token, code } = await enqueue();
    await sendDue();
    for (const [attempts, minutes] of [
      [1, 1],
      [2, 2],
      [3, 4],
    ] as const) {
      expect(await rowOf(id)).toEqual({ attempts, sent: false, failed: false, last_error: 'EMESSAGE 451 DATA' });
      const [{ left } = { left: 0 }] = await database.sql<{ left: number }>(
        'select extract(epoch from next_attempt_at - clock_timestamp())::float8 as left from outgoing_mails where id = $1',
        [id],
      );
      expect(left / 60).toBeGreaterThan(minutes - 0.5);
      expect(left / 60).toBeLessThanOrEqual(minutes);
      await makeDue(id);
      await sendDue();
    }
    mailbox.mode = 'ok';
    await makeDue(id);
    await sendDue();
    expect(await mailbox.next({ to })).toMatchObject({
      messageId: `<${id}@auth.example.com>`,
      links: [expect.stringContaining(token)],
      codes: [code],
    });
    expect(await rowOf(id)).toEqual({ attempts: 5, sent: true, failed: false, last_error: null });
  });

  it('gives up a mail that is refused for good, and keeps no word of the server', async () => {
    mailbox.mode = '550';
    const { id } = await enqueue();
    await sendDue();
    await makeDue(id);
    await sendDue();
    expect(await rowOf(id)).toEqual({ attempts: 1, sent: false, failed: true, last_error: 'EMESSAGE 550 DATA' });
    expect(service.logs.filter(({ mail_id: mailId }) => mailId === id)).toMatchObject([
      { event: 'mail_failed', template: 'sign_in_code', reason: 'EMESSAGE 550 DATA' },
    ]);
    expect(JSON.stringify(service.logs)).not.toContain('secret@example.com');
  });

  it('gives up a mail whose recipient is refused for good, but tries again where the sender is', async () => {
    mailbox.mode = '550 to the recipient';
    const { id: refused } = await enqueue();
    await sendDue();
    expect(await rowOf(refused)).toMatchObject({ failed: true, last_error: 'EENVELOPE 550 RCPT TO' });
    mailbox.mode = '550 to the sender';
    const { id: delayed } = await enqueue();
    await sendDue();
    expect(await rowOf(delayed)).toMatchObject({ failed: false, last_error: 'EENVELOPE 550 MAIL FROM' });
  });

  it('sends a mail again when the connection was cut after the server had it', async () => {
    mailbox.mode = 'cut';
    const { id, to } = await enqueue();
    await sendDue();
    const first = await mailbox.next({ to });
    expect(await rowOf(id)).toMatchObject({ sent: false, failed: false });
    mailbox.mode = 'ok';
    await makeDue(id);
    await sendDue();
    const second = await mailbox.next({ to });
    expect([second.messageId, second.links, second.codes]).toEqual([first.messageId, first.links, first.codes]);
  });

  it('loses nothing while the SMTP server is down, and answers as quickly as ever', async () => {
    const { email, password } = await service.client.signUp();
    await mailbox.stop();
    const startedAtMs = performance.now();
    for (let index = 0; index < 3; index += 1) {
      expect((await service.client.post('/auth/password/forgot', { email })).status).toBe(202);
    }
    expect((await service.client.login({ email, password })).status).toBe(200);
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    await eventually(async () => {
      const rows = await database.sql<Row>(
        'select attempts, last_error from outgoing_mails where last_error is not null',
      );
      return rows.length === 3;
    }, WITHIN);
    await mailbox.start();
    await database.sql('update outgoing_mails set next_attempt_at = clock_timestamp()');
    await sendDue();
    expect(mailbox.messages.map(({ to }) => to)).toEqual([email, email, email]);
    expect(new Set(mailbox.messages.map(({ messageId }) => messageId)).size).toBe(3);
  });

  it('does not send what has expired or was used', async () => {
    const expired = await enqueue();
    const used = await enqueue();
    const ticketOf = 'id = (select ticket_id from outgoing_mails where id = $1)';
    await database.sql(`update tickets set expires_at = clock_timestamp() where ${ticketOf}`, [expired.id]);
    await database.sql(
      `update tickets set consumed_at = clock_timestamp(), consumed_by = gen_random_uuid() where ${ticketOf}`,
      [used.id],
    );
    await sendDue();
    expect(mailbox.messages).toEqual([]);
    for (const { id } of [expired, used]) {
      expect(await rowOf(id)).toEqual({ attempts: 1, sent: false, failed: true, last_error: 'expired' });
    }
  });

  it('gives up a mail after a day of attempts, and tries one that is older once', async () => {
    mailbox.mode = '451';
    const { id, to } = await enqueue({ template: 'address_taken', ticket: undefined });
    await database.sql(`update outgoing_mails set created_at = created_at - interval '25 hours' where id = $1`, [id]);
    await sendDue();
    expect(await rowOf(id)).toMatchObject({ attempts: 1, failed: false });
    await makeDue(id);
    await sendDue();
    expect(await rowOf(id)).toEqual({
      attempts: 2,
      sent: false,
      failed: true,
      last_error: 'expired; EMESSAGE 451 DATA',
    });
    expect(mailbox.messages.filter((mail) => mail.to === to)).toEqual([]);
  });

  it('lets a mail that hangs hold up no other one, and tries it again', async () => {
    mailbox.mode = 'hang';
    const stuck = await enqueue();
    const sending = sendDue();
    await eventually(() => mailbox.hangingCount === 1, WITHIN);
    mailbox.mode = 'ok';
    const others = await Promise.all(Array.from({ length: 12 }, () => enqueue()));
    service.app.get(OutboxService, { strict: false }).wake();
    await Promise.all(others.map(({ to }) => mailbox.next({ to })));
    expect(await rowOf(stuck.id)).toMatchObject({ attempts: 1, sent: false, last_error: null });
    mailbox.cut();
    await sending;
    expect(await rowOf(stuck.id)).toMatchObject({ attempts: 1, sent: false, failed: false });
    await makeDue(stuck.id);
    await sendDue();
    expect(mailbox.messages.filter(({ to }) => to === stuck.to).map(({ codes }) => codes)).toEqual([
      [stuck.code],
      [stuck.code],
    ]);
  });

  it.each([
    ['a server that says nothing after a mail', 60_000],
    ['an attempt whose time is over', 100],
  ])('does not wait for %s', async (_, deadlineMs) => {
    const signal = AbortSignal.timeout(deadlineMs);
    mailbox.mode = 'hang';
    const transport = new SmtpTransport(mailbox.url, { name: 'Example', address: 'a@example.com' }, 500);
    const mail = { id: randomUUID(), template: 'address_taken', to: newEmail(), messageId: '<1@example.com>' } as const;
    const sending = transport.deliver({ ...mail, subject: 'Hello', text: 'Hello', html: '<p>Hello' }, signal);
    await expect(sending).rejects.toThrow(/^(ETIMEDOUT CONN|not taken in time)$/);
    transport.close();
  });

  it('says to whom a mail went for a day, and forgets it after seven, or thirty if it failed', async () => {
    const ids = (await Promise.all(Array.from({ length: 4 }, () => enqueue()))).map(({ id }) => id);
    await sendDue();
    const ages = ['23 hours', '25 hours', '8 days', '6 days'];
    for (const [index, id] of ids.entries()) {
      await database.sql(`update outgoing_mails set sent_at = sent_at - $2::interval where id = $1`, [id, ages[index]]);
    }
    const failed = await Promise.all(['29 days', '31 days'].map(async (age) => ({ age, ...(await enqueue()) })));
    for (const { id, age } of failed) {
      await database.sql('update outgoing_mails set failed_at = clock_timestamp() - $2::interval where id = $1', [
        id,
        age,
      ]);
    }
    await service.app.get(TombstoneCleanerService, { strict: false }).clean();
    const rows = await database.sql<{ id: string; known: boolean }>(
      'select id, recipient is not null as known from outgoing_mails',
    );
    expect(new Map(rows.map(({ id, known }) => [id, known]))).toEqual(
      new Map([
        [ids[0], true],
        [ids[1], false],
        [ids[3], false],
        [failed[0]?.id, true],
      ]),
    );
  });

  describe('with three instances', () => {
    const others: TestService[] = [];

    afterAll(() => Promise.all(others.map((each) => each.stop())));

    it('sends each of a hundred mails once', async () => {
      others.push(await startService(database, environment()), await startService(database, environment()));
      for (let index = 0; index < 100; index += 1) {
        await enqueue({ template: 'address_taken', ticket: undefined });
      }
      await Promise.all([service, ...others].map((each) => sendDue(each)));
      await eventually(() => mailbox.messages.length >= 100, WITHIN);
      expect(new Set(mailbox.messages.map(({ messageId }) => messageId)).size).toBe(100);
      expect(mailbox.messages).toHaveLength(100);
    });
  });

  it.each([
    ['an address with a comma', 'ada@example.com, grace@example.com'],
    ['an address with a line break', 'ada@example.com\r\nBcc: grace@example.com'],
  ])('sends %s to no second mailbox', async (_, recipient) => {
    await enqueue({ recipient });
    await sendDue();
    expect(mailbox.messages.filter(({ to }) => to.includes('grace') && !to.includes('ada'))).toEqual([]);
    expect(mailbox.messages.flatMap(({ headers }) => [...headers.keys()])).not.toContain('bcc');
  });

  it('sends to a user in a domain with an umlaut, by its ASCII form', async () => {
    const domain = `bücher-${randomUUID()}.example`;
    expect((await service.client.register({ email: `ada@${domain}`, password: newPassword() })).status).toBe(201);
    expect((await service.client.post('/auth/password/forgot', { email: `ADA@${domain}` })).status).toBe(202);
    // smtp-server shows the domain of an envelope in Unicode, whatever was sent.
    const mail = await mailbox.next({ to: `ada@${domain}` });
    expect(mail.headers.get('to')).toBe(`To: ada@${domainToASCII(domain)}`);
    const token = mail.links[0]?.split('=')[1];
    const reset = await service.client.post('/auth/password/reset', { token, new_password: newPassword() });
    expect(reset.status).toBe(204);
  });

  it('takes no header from the language of a mail', async () => {
    const { to } = await enqueue({ locale: 'en\r\nBcc: grace@example.com' });
    await sendDue();
    const mail = await mailbox.next({ to });
    expect([...mail.headers.keys()]).not.toContain('bcc');
    expect(mail.raw).not.toContain('grace');
  });

  it('writes a link that quoted-printable folds, and that is whole when it is read', async () => {
    const { to, token } = await enqueue();
    await sendDue();
    const { raw, text, html } = await mailbox.next({ to });
    expect(raw.match(/^Content-Transfer-Encoding: quoted-printable\r$/gm)).toHaveLength(2);
    expect(raw).not.toContain(`sign_in_code=${token}`);
    expect(text.split(/\s/)).toContain(`https://app.example.com/account#sign_in_code=${token}`);
    expect(html).toContain(`"https://app.example.com/account#sign_in_code=${token}"`);
  });

  it('breaks no long line of a mail, and takes no header from what it shows', async () => {
    const long = 'x'.repeat(1_200);
    const newEmailShown = `${long}\r\nBcc: grace@example.com`;
    const mail = { template: 'email_changed', ticket: undefined } as const;
    const { to } = await enqueue({ ...mail, params: { oldEmail: 'ada@example.com', newEmail: newEmailShown } });
    await sendDue();
    const received = await mailbox.next({ to });
    expect(received.text.replace(/\s/g, '')).toContain(long);
    expect([...received.headers.keys()]).not.toContain('bcc');
    expect(Math.max(...received.raw.split('\r\n').map(({ length }) => length))).toBeLessThanOrEqual(998);
  });
});

describe('the process that sends mails', () => {
  const database = useDatabase();
  const mailbox = useMailbox();
  const processes: ServiceProcess[] = [];

  afterEach(async () => {
    mailbox.answerHanging();
    await Promise.all(processes.splice(0).map((each) => each.kill()));
  });

  function start(): ServiceProcess {
    const process = new ServiceProcess({
      DATABASE_URL: database.url,
      AUTH_SECRET,
      MAIL_URL: mailbox.url,
      LOG_LEVEL: 'trace',
    });
    processes.push(process);
    return process;
  }

  /** Has the server leave a mail with a link and a code without an answer. */
  async function hangOne(process: ServiceProcess): Promise<ReceivedMail> {
    mailbox.mode = 'hang';
    const client = await process.listening();
    const { email, pair } = await client.signUpAndIn();
    const bearer = { authorization: `Bearer ${pair.access_token}` };
    expect((await client.post('/auth/email/verification', {}, bearer)).status).toBe(202);
    const mail = await mailbox.next({ to: email });
    await eventually(() => mailbox.hangingCount === 1, WITHIN);
    mailbox.mode = 'ok';
    return mail;
  }

  it(
    'sends a mail again after kill -9 before its answer, with the same Message-ID, link and code',
    async () => {
      const killed = start();
      const first = await hangOne(killed);
      await killed.kill();
      expect(await database.sql('select attempts, sent_at from outgoing_mails')).toEqual([
        { attempts: 1, sent_at: null },
      ]);
      await database.sql('update outgoing_mails set next_attempt_at = clock_timestamp()');
      await start().listening();
      const second = await mailbox.next({ to: first.to });
      expect([second.messageId, second.links, second.codes]).toEqual([first.messageId, first.links, first.codes]);
      expect(second.codes).toHaveLength(1);
      expect(second.links[0]).toMatch(/#email_verification=vl1\.[\w-]{66}$/);
      await eventually(
        async () => (await database.sql('select 1 from outgoing_mails where sent_at is null')).length === 0,
        WITHIN,
      );
    },
    LONGEST_PROCESS_TEST_MS,
  );

  it(
    'waits at a SIGTERM for the mail that is on its way',
    async () => {
      const process = start();
      const { to } = await hangOne(process);
      process.signal('SIGTERM');
      await eventually(() => process.hasLogged('stopping'), WITHIN);
      mailbox.answerHanging();
      expect(await process.ended()).toEqual({ code: 0, signal: null });
      expect(
        await database.sql('select sent_at is not null as sent from outgoing_mails where recipient = $1', [to]),
      ).toEqual([{ sent: true }]);
    },
    LONGEST_PROCESS_TEST_MS,
  );
});

describe('mail in development', () => {
  const database = useDatabase();

  it('becomes a file that only its owner reads, and the log names the file and not the link', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-mails-'));
    const service = await startService(database, { MAIL_URL: 'file', DATA_DIR: folder });
    try {
      const { email } = await service.client.signUp();
      expect((await service.client.post('/auth/password/forgot', { email })).status).toBe(202);
      const mails = join(folder, 'mails');
      const files = (): Promise<string[]> => readdir(mails).catch(() => []);
      const written = (): readonly unknown[] => service.logs.filter(({ event }) => event === 'mail_written');
      await eventually(() => written().length > 0, WITHIN);
      const [name = '', ...more] = await files();
      expect(more).toEqual([]);
      expect(name).toMatch(/^\d{4}-.*Z-password_reset-[0-9a-f]{8}\.eml$/);
      expect((await stat(join(mails, name))).mode & 0o777).toBe(0o600);
      const text = (await readFile(join(mails, name), 'utf8')).replaceAll('=\n', '');
      const [token = ''] = /pr1\.[\w-]{66}/.exec(text) ?? [];
      expect(token).not.toBe('');
      expect(written()).toMatchObject([{ file: join(mails, name) }]);
      expect(JSON.stringify(service.logs)).not.toContain(token);
    } finally {
      await service.stop();
    }
  });
});
