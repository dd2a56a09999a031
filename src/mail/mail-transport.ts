import type { MailTemplate } from './mail-templates.types.js';

/** A mail as it is delivered. */
export interface DeliverableMail {
  /** That of its row. */
  readonly id: string;
  readonly template: MailTemplate;
  /** The same each time it is sent, so that a mailbox can show one of two copies. With its angle brackets. */
  readonly messageId: string;
  /** Canonical; one mailbox, however it reads. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** The mail was refused for good. `message` has no word of the other side: it may repeat the address. */
export class MailRefusedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MailRefusedError';
  }
}

/** Hands a mail to what brings it to its mailbox. */
export abstract class MailTransport {
  /**
   * Resolves when the other side has taken the mail. After an error it may have it nevertheless.
   *
   * @param signal ends the attempt, which then fails
   * @throws MailRefusedError, or another error when a retry may succeed. Their messages have no word of the other side.
   */
  abstract deliver(mail: DeliverableMail, signal: AbortSignal): Promise<void>;

  /** Closes connections. */
  close(): void {
    // Most have none.
  }
}
