import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll } from 'vitest';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';
import { eventually } from './eventually.js';

/**
 * What the server does with a mail: take it, refuse it for good or for now, or its sender or its recipient for good, say
 * nothing, or take it and cut the answer.
 */
export type MailboxMode = 'ok' | '550' | '451' | '550 to the sender' | '550 to the recipient' | 'hang' | 'cut';

export interface ReceivedMail {
  /** Of the envelope. */
  readonly to: string;
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly messageId: string;
  /** As they stood on the wire, by name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly raw: string;
  readonly links: readonly string[];
  readonly codes: readonly string[];
}

const LONGEST_DELIVERY_MS = 15_000;

/** An SMTP server whose mailboxes take every address. */
export class Mailbox {
  mode: MailboxMode = 'ok';
  readonly messages: ReceivedMail[] = [];
  private readonly unanswered: (() => void)[] = [];
  private readonly returned = new Set<ReceivedMail>();
  private server: SMTPServer | undefined;
  private readonly sockets = new Set<Socket>();
  private port = 0;

  /** How many mails have been sent whole and left without an answer. */
  get hangingCount(): number {
    return this.unanswered.length;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  /** Listens on a free port, and after a stop on the same one. */
  async start(): Promise<void> {
    this.server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      closeTimeout: 1,
      onMailFrom: (_address, _session, done) => {
        done(this.mode === '550 to the sender' ? refusal(550) : undefined);
      },
      onRcptTo: (_address, _session, done) => {
        done(this.mode === '550 to the recipient' ? refusal(550) : undefined);
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.once('end', () => {
          this.take(Buffer.concat(chunks).toString(), session.envelope.rcptTo[0]?.address ?? '').then(
            () => {
              this.answer(done);
            },
            (error: unknown) => {
              done(error as Error);
            },
          );
        });
      },
    });
    this.server.on('error', () => undefined);
    const server = this.server.listen(this.port, '127.0.0.1');
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    this.cut();
    await new Promise<void>((resolve) => {
      if (server === undefined) {
        resolve();
      } else {
        server.close(resolve);
      }
    });
  }

  /** Returns the oldest mail to an address that it has not returned yet, and waits for it. */
  async next({ to }: { readonly to: string }): Promise<ReceivedMail> {
    const find = (): ReceivedMail | undefined =>
      this.messages.find((mail) => mail.to === to && !this.returned.has(mail));
    await eventually(() => find() !== undefined, { withinMs: LONGEST_DELIVERY_MS });
    const mail = find()!;
    this.returned.add(mail);
    return mail;
  }

  private async take(raw: string, to: string): Promise<void> {
    if (this.mode === '550' || this.mode === '451') {
      return;
    }
    const parsed = await simpleParser(raw);
    const text = parsed.text ?? '';
    const links = text.match(/https?:\/\/\S+/g) ?? [];
    this.messages.push({
      to,
      from: parsed.from?.text ?? '',
      subject: parsed.subject ?? '',
      text,
      html: parsed.html || '',
      messageId: parsed.messageId ?? '',
      headers: new Map(parsed.headerLines.map(({ key, line }) => [key, line])),
      raw,
      links,
      codes:
        links
          .reduce((rest, link) => rest.replace(link, ''), text)
          .match(/\b\d{4} ?\d{4}\b/g)
          ?.map((code) => code.replace(' ', '')) ?? [],
    });
  }

  private answer(done: (error?: Error | null) => void): void {
    switch (this.mode) {
      case 'ok':
        done();
        return;
      case 'cut':
        this.cut();
        return;
      case 'hang':
        this.unanswered.push(done);
        return;
      case '451':
      case '550':
      case '550 to the sender':
      case '550 to the recipient':
        done(refusal(this.mode === '451' ? 451 : 550));
    }
  }

  /** Takes the mails that have been left without an answer. */
  answerHanging(): void {
    this.unanswered.splice(0).forEach((done) => {
      done();
    });
  }

  /** Cuts all connections. */
  cut(): void {
    this.sockets.forEach((socket) => {
      socket.destroy();
    });
  }
}

/** Servers repeat the address in their answers. */
function refusal(responseCode: number): Error {
  return Object.assign(new Error('the mailbox of secret@example.com says no'), { responseCode });
}

/** One server for the tests of the enclosing `describe`. */
export function useMailbox(): Mailbox {
  const mailbox = new Mailbox();
  beforeAll(() => mailbox.start());
  afterAll(() => mailbox.stop());
  return mailbox;
}
