import type { Ticket } from '../tickets/tickets.types.js';
import type { MailTemplate } from './mail-templates.types.js';

export interface OutgoingMail {
  /** A random UUID that is made before the first attempt, so that a retry makes no second mail. */
  readonly id: string;
  readonly template: MailTemplate;
  /** A canonical address; undefined for nobody, which costs the same and sends nothing. */
  readonly recipient: string | undefined;
  /** BCP 47; undefined for `MAIL_LOCALE`. */
  readonly locale: string | undefined;
  /** Its link and its code are computed when the mail is sent. It must be issued in the same transaction or before. */
  readonly ticket?: Ticket;
  /** What the text says besides; nothing that lets in. */
  readonly params?: Readonly<Record<string, string | number>>;
}
