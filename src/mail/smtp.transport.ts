import type { Transporter } from 'nodemailer';
import type { MailConfig } from '../platform/config/config.js';
import { type DeliverableMail, MailRefusedError, MailTransport } from './mail-transport.js';
import { toMessage } from './message.js';

const MAX_CONNECTIONS = 2;

/** Each is for one step; the caller ends what takes too many. */
const DNS_TIMEOUT_MS = 5_000;
const CONNECTION_TIMEOUT_MS = 10_000;
const GREETING_TIMEOUT_MS = 10_000;
const REPLY_TIMEOUT_MS = 20_000;

/** Hands mails to an SMTP server. The first one loads what that takes. */
export class SmtpTransport extends MailTransport {
  private transporter: Promise<Transporter> | undefined;

  constructor(
    private readonly url: string,
    private readonly from: MailConfig['from'],
    private readonly replyTimeoutMs = REPLY_TIMEOUT_MS,
  ) {
    super();
  }

  override async deliver(mail: DeliverableMail, signal: AbortSignal): Promise<void> {
    this.transporter ??= createTransporter(this.url, this.replyTimeoutMs);
    const transporter = await this.transporter;
    try {
      await transporter.sendMail({ ...toMessage(mail, this.from), signal });
    } catch (error) {
      throw signal.aborted ? new Error('not taken in time') : withoutWords(error);
    }
  }

  override close(): void {
    void this.transporter?.then((transporter) => {
      transporter.close();
    });
  }
}

async function createTransporter(url: string, replyTimeoutMs: number): Promise<Transporter> {
  const { createTransport } = await import('nodemailer');
  return createTransport({
    url,
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    dnsTimeout: DNS_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    greetingTimeout: GREETING_TIMEOUT_MS,
    socketTimeout: replyTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

/** A server's words may repeat the address, and what we sent. Codes are enough to find the cause. */
function withoutWords(error: unknown): Error {
  const { code, responseCode, command } = error as {
    readonly code?: unknown;
    readonly responseCode?: unknown;
    readonly command?: unknown;
  };
  const told = [code, responseCode, command].filter((each) => typeof each === 'string' || typeof each === 'number');
  const message = told.length === 0 ? 'unknown' : told.join(' ').slice(0, 100);
  // RFC 5321 §4.2.1: 5yz is a permanent refusal. One of the login or of the sender is of our configuration, which changes.
  const isPermanent = typeof responseCode === 'number' && responseCode >= 500 && responseCode < 600;
  return isPermanent && (command === 'RCPT TO' || command === 'DATA')
    ? new MailRefusedError(message)
    : new Error(message);
}
