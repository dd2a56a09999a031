import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SmtpTransport } from '../src/mail/smtp.transport.js';
import { eventually } from './support/eventually.js';
import { canRunExim, Exim, type EximOptions } from './support/exim.js';
import { ServiceProcess } from './support/service-process.js';
import { newPassword, type TestClient } from './support/test-client.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useDatabase } from './support/use-service.js';

const WITHIN = { withinMs: 15_000 };
/** Includes the start of a process on a machine that is busy with other tests. */
const LONGEST_START_MS = 60_000;

if (!canRunExim) {
  process.stderr.write('SKIPPED: test/mail-server needs exim4 and root (apt-get install exim4-daemon-light)\n');
}

const describeWithExim = canRunExim ? describe : describe.skip;

describeWithExim('a mail server of Debian, with STARTTLS and a login', () => {
  const database = useDatabase();
  let exim: Exim;
  let service: ServiceProcess;
  let client: TestClient;

  beforeAll(async () => {
    exim = await Exim.start();
    service = new ServiceProcess({
      DATABASE_URL: database.url,
      AUTH_SECRET,
      JWT_ISSUER: 'https://auth.example.com',
      MAIL_URL: exim.url,
      MAIL_FROM: 'Exämple, Inc. <no-reply@example.com>',
      ACCOUNT_URL: 'https://app.example.com/account',
      EMAIL_VERIFICATION: 'required',
      NODE_EXTRA_CA_CERTS: exim.certificatePath,
    });
    client = await service.listening();
  }, LONGEST_START_MS);

  afterAll(async () => {
    await service.kill();
    await exim.stop();
  });

  async function register(email: string): Promise<void> {
    expect((await client.post('/auth/register', { email, password: newPassword() })).status).toBe(202);
  }

  it('delivers a mail of the service whole, to an address in a domain with an umlaut', async () => {
    await register('ada@bücher.example');
    const mail = await exim.onlyMail();
    const header = (name: string): string => mail.headerLines.find(({ key }) => key === name)?.line ?? '';
    const [{ id }] = (await database.sql<{ id: string }>('select id from outgoing_mails')) as [{ id: string }];
    expect(mail.messageId).toBe(`<${id}@auth.example.com>`);
    expect(mail.from?.value).toEqual([{ name: 'Exämple, Inc.', address: 'no-reply@example.com' }]);
    expect(mail.subject).toBe('Confirm your address for Exämple, Inc.');
    expect([header('to'), header('envelope-to'), header('return-path'), header('auto-submitted')]).toEqual([
      'To: ada@xn--bcher-kva.example',
      'Envelope-to: ada@xn--bcher-kva.example',
      'Return-path: <no-reply@example.com>',
      'Auto-Submitted: auto-generated',
    ]);
    expect(await exim.log()).toMatch(/ <= no-reply@example\.com .*P=esmtpsa .*A=plain:ratchet /);

    const [link = ''] = /https:\S+/.exec(mail.text ?? '') ?? [];
    expect(mail.html).toContain(link);
    expect(mail.text).toMatch(/\b\d{8}\b/);
    const token = /^https:\/\/app\.example\.com\/account#registration=(rl1\.[\w-]{66})$/.exec(link)?.[1];
    const completed = await client.post('/auth/register/complete', { token, password: newPassword() });
    expect(completed.status).toBe(200);
  });

  it('ends a mail by 550 for its recipient, and delays it by 451', async () => {
    await register('nobody@example.com');
    await register('later@example.com');
    await eventually(() => service.hasLogged('mail_failed') && service.hasLogged('mail_delayed'), WITHIN);
    expect(service.logged('mail_failed')).toMatchObject([{ reason: 'EENVELOPE 550 RCPT TO' }]);
    expect(service.logged('mail_delayed')).toMatchObject([{ reason: 'EENVELOPE 451 RCPT TO' }]);
    expect(JSON.stringify(service.lines)).not.toContain('the mailbox of');
  });
});

describeWithExim('neither a mail nor the password of MAIL_URL reaches a mail server', () => {
  let exim: Exim | undefined;

  afterEach(() => exim?.stop());

  it.each<[string, EximOptions, string, string]>([
    ['whose certificate is not trusted, with requireTLS=true', {}, '?requireTLS=true', 'ESOCKET CONN'],
    ['whose certificate is not trusted, without requireTLS', {}, '', 'ESOCKET CONN'],
    ['that offers no TLS, with requireTLS=true', { hasTls: false }, '?requireTLS=true', 'ETLS 503 STARTTLS'],
  ])('%s', async (_, options, query, reason) => {
    exim = await Exim.start(options);
    const url = exim.url.replace('?requireTLS=true', query);
    const transport = new SmtpTransport(url, { name: 'Example', address: 'a@example.com' });
    const mail = { id: '1', template: 'address_taken', to: 'ada@example.com', messageId: '<1@example.com>' } as const;
    const sending = transport.deliver(
      { ...mail, subject: 'Hello', text: 'Hello', html: '<p>Hello' },
      AbortSignal.timeout(60_000),
    );
    await expect(sending).rejects.toThrow(reason);
    transport.close();
    expect(await exim.log()).not.toMatch(/ <= |A=plain|authenticator/);
  });
});
