import type { MailConfig } from '../platform/config/config.js';
import type { DeliverableMail } from './mail-transport.js';

/** What nodemailer sends. */
export interface Message {
  readonly from: { readonly name: string; readonly address: string };
  readonly to: { readonly name: string; readonly address: string };
  readonly messageId: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly disableFileAccess: true;
  readonly disableUrlAccess: true;
}

/**
 * Addresses are objects: a text would be parsed, and one with a comma in it would go to two mailboxes. RFC 3834 §5: no
 * one's out-of-office reply answers what is sent automatically.
 */
export function toMessage(mail: DeliverableMail, from: MailConfig['from']): Message {
  const { to, messageId, subject, text, html } = mail;
  return {
    // A copy, because it is written to.
    from: { ...from },
    to: { name: '', address: to },
    messageId,
    subject,
    text,
    html,
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}
