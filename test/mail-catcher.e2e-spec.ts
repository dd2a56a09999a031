import { request } from 'node:http';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath, isChromiumInstalled } from './support/chromium.js';
import { RunningCommand, runCommand } from './support/run-command.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const INSTALLATION_DEADLINE_MS = 300_000;

/** In every place of a mail where text goes. `report` is what a script that runs would call. */
const HOSTILE = `"><script>report(1)</script><img src=x onerror=report(2)>`;

const HOSTILE_HTML = `<!doctype html><script>report(3)</script><img src="x" onerror="report(4)">
<svg onload="report(5)"></svg><iframe srcdoc="<script>top.report(6)</script>"></iframe>
<a id="script" href="javascript:report(7)">script</a> <a id="self" href="https://ratchet.test/#pr1.token">reset</a>
<form action="https://thief.test/"><input name="q"></form><img src="https://thief.test/pixel.gif">
<link rel="stylesheet" href="https://thief.test/style.css"><meta http-equiv="refresh" content="0;url=https://thief.test/">
<p id="end">end of the mail</p></body></html></iframe></main>`;

interface CaughtMail {
  readonly id: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly headers: readonly string[];
  readonly links: readonly string[];
}

describe('the mail catcher', () => {
  let program: RunningCommand;
  let url: string;
  let smtpPort: number;

  beforeAll(async () => {
    const installation = await runCommand('node', ['scripts/install-if-needed.mjs', 'examples/mail-catcher'], {
      workingDirectory: CHECKOUT,
      withinMs: INSTALLATION_DEADLINE_MS,
    });
    expect(installation).toMatchObject({ exitCode: 0 });
    program = new RunningCommand('node', ['examples/mail-catcher/server.js'], {
      workingDirectory: CHECKOUT,
      environment: { PORT: '0', SMTP_PORT: '0' },
    });
    smtpPort = Number((await program.said(/"listener":"smtp","port":(\d+)/))[1]);
    url = `http://127.0.0.1:${(await program.said(/"listener":"page","port":(\d+)/))[1] ?? ''}`;
  }, INSTALLATION_DEADLINE_MS);

  afterAll(async () => {
    program.signalGroup('SIGTERM');
    await program.end();
  });

  afterEach(async () => {
    expect((await fetch(`${url}/api/mails`, { method: 'DELETE' })).status).toBe(204);
    expect(await caught()).toEqual([]);
  });

  async function caught(query = ''): Promise<readonly CaughtMail[]> {
    const { mails } = (await (await fetch(`${url}/api/mails${query}`)).json()) as { mails: readonly CaughtMail[] };
    return mails;
  }

  it('shows each mail to those whom the envelope names, the newest first', async () => {
    await send(smtpPort, ['ada@example.com'], mail({ subject: 'first', to: 'another@example.com' }));
    const text = 'Open https://ratchet.test/#password_reset=pr1.abc_-1 now,\r\n..or not.';
    await send(smtpPort, ['grace@example.com', 'alan@example.com'], mail({ subject: '=?utf-8?Q?caf=C3=A9?=', text }));
    const [newest, oldest, ...others] = await caught();
    expect(others).toEqual([]);
    expect(newest).toMatchObject({
      to: ['grace@example.com', 'alan@example.com'],
      subject: 'café',
      text: expect.stringContaining('Open https://ratchet.test/#password_reset=pr1.abc_-1 now,'),
      links: ['https://ratchet.test/#password_reset=pr1.abc_-1'],
    });
    expect(oldest).toMatchObject({ to: ['ada@example.com'], subject: 'first' });
    expect(await caught('?to=ada@example.com')).toEqual([oldest]);
    expect(await (await fetch(`${url}/api/mails/${oldest?.id ?? ''}`)).json()).toEqual(oldest);
  });

  it('keeps the last 200 mails', async () => {
    await send(
      smtpPort,
      ['ada@example.com'],
      ...Array.from({ length: 205 }, (_, n) => mail({ subject: `number ${n}` })),
    );
    const subjects = (await caught()).map(({ subject }) => subject);
    expect(subjects).toEqual(Array.from({ length: 200 }, (_, n) => `number ${204 - n}`));
  });

  it('refuses a mail of more than 1 MiB and takes the next one', async () => {
    const large = mail({ subject: 'large', text: `${'x'.repeat(998)}\r\n`.repeat(1_100) });
    await expect(send(smtpPort, ['ada@example.com'], large)).rejects.toThrow('552');
    await send(smtpPort, ['ada@example.com'], mail({ subject: 'small' }));
    expect(await caught()).toMatchObject([{ subject: 'small' }]);
  });

  it.each(['ratchet.evil.test', 'localhost.evil.test:8025', 'mail'])(
    'answers nothing of a mail to a page that reached it as %j',
    async (host) => {
      await send(smtpPort, ['ada@example.com'], mail({ subject: 'secret' }));
      const [{ id } = { id: '' }] = await caught();
      for (const path of ['/', '/api/mails', `/api/mails/${id}`, `/mails/${id}`, `/mails/${id}/html`]) {
        expect(await get(`${url}${path}`, host)).toEqual({ status: 421, body: '{"code":"unknown_host"}' });
      }
    },
  );

  it.each([
    ['GET', '/mails/1', 404],
    ['GET', '/api/mails/0/html', 404],
    ['GET', '/../server.js', 404],
    ['GET', '//', 404],
    ['POST', '/api/mails', 405],
    ['DELETE', '/mails', 405],
  ])('answers %s %s with %i and goes on', async (method, path, status) => {
    expect((await fetch(`${url}${path}`, { method })).status).toBe(status);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('survives a sender that goes away in the middle of a mail', async () => {
    const socket = connect(smtpPort, '127.0.0.1');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write('EHLO test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: ha');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.resetAndDestroy();
    await send(smtpPort, ['ada@example.com'], mail({ subject: 'after it' }));
    expect(await caught()).toMatchObject([{ subject: 'after it' }]);
  });

  (isChromiumInstalled() ? describe : describe.skip)('in Chromium', () => {
    let browser: Browser;

    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: chromiumPath ?? '', args: ['--no-sandbox'] });
    });

    afterAll(async () => {
      await browser.close();
    });

    it('shows a hostile mail as text and in a frame, and runs no script and asks no other host', async () => {
      const context = await browser.newContext();
      const reported: unknown[] = [];
      const asked: string[] = [];
      await context.exposeFunction('report', (what: unknown) => reported.push(what));
      // Everything but the catcher itself is answered here.
      await context.route(
        (address) => address.origin !== url,
        (route) => {
          asked.push(route.request().url());
          return route.fulfill({ contentType: 'text/html', body: 'elsewhere' });
        },
      );
      const boundary = `multipart/alternative; boundary=cut\r\nX-Hostile: ${HOSTILE}`;
      const parts = [
        `--cut\r\nContent-Type: text/plain\r\n\r\n${HOSTILE}\r\nhttps://ratchet.test/${HOSTILE}`,
        `--cut\r\nContent-Type: text/html\r\n\r\n${HOSTILE_HTML}\r\n--cut--\r\n`,
      ];
      await send(
        smtpPort,
        ['ada@example.com'],
        mail({
          subject: HOSTILE,
          from: `${HOSTILE.replaceAll('"', '')} <a@b.test>`,
          type: boundary,
          text: parts.join('\r\n'),
        }),
      );

      const page = await context.newPage();
      await page.goto(url);
      await page.getByRole('link', { name: HOSTILE }).click();
      await page.getByRole('heading', { name: HOSTILE }).waitFor();
      const frame = page.frameLocator('iframe');
      await frame.locator('#end').waitFor();
      await page.getByText('Headers').click();
      expect(await page.locator('script, img, svg').count()).toBe(0);
      expect(await page.locator('pre a').getAttribute('href')).toBe('https://ratchet.test/');

      await frame.locator('#script').click();
      await frame.locator('form input').press('Enter');
      const [opened] = await Promise.all([context.waitForEvent('page'), frame.locator('#self').click()]);
      await opened.waitForURL('https://ratchet.test/#pr1.token');
      expect(reported).toEqual([]);
      expect(asked).toEqual(['https://ratchet.test/']);
      await context.close();
    });
  });
});

interface MailText {
  readonly subject: string;
  readonly from?: string;
  readonly to?: string;
  readonly type?: string;
  readonly text?: string;
}

function mail({ subject, from = 'Ratchet <ratchet@localhost>', to = 'ada@example.com', ...rest }: MailText): string {
  const { type = 'text/plain; charset=utf-8', text = 'Hello.' } = rest;
  return [
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${subject}`,
    'MIME-Version: 1.0',
    `Content-Type: ${type}`,
    '',
    text,
  ].join('\r\n');
}

/**
 * Sends mails over one connection.
 *
 * @throws Error with the reply to the first command that was refused
 */
async function send(port: number, to: readonly string[], ...mails: readonly string[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    // A reply of several lines has a hyphen after the code in all but the last.
    const replies = createInterface({ input: socket })[Symbol.asyncIterator]();
    const expectReply = async (code: string): Promise<void> => {
      let reply: string;
      do {
        reply = String((await replies.next()).value);
      } while (/^\d{3}-/.test(reply));
      if (!reply.startsWith(code)) {
        throw new Error(reply);
      }
    };
    const say = async (line: string, code: string): Promise<void> => {
      socket.write(`${line}\r\n`);
      await expectReply(code);
    };
    await expectReply('220');
    await say('EHLO test', '250');
    for (const text of mails) {
      await say('MAIL FROM:<ratchet@localhost>', '250');
      for (const address of to) {
        await say(`RCPT TO:<${address}>`, '250');
      }
      await say('DATA', '354');
      await say(`${text.replace(/^\./gm, '..')}\r\n.`, '250');
    }
  } finally {
    socket.destroy();
  }
}

async function get(url: string, host: string): Promise<{ readonly status: number | undefined; readonly body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { headers: { host }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      response.once('end', () => {
        resolve({ status: response.statusCode, body });
      });
    })
      .once('error', reject)
      .end();
  });
}
