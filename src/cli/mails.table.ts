import type { QueuedMail } from '../mail/mail.types.js';
import { type Column, textTable } from './text-table.js';

const COLUMNS: readonly Column<QueuedMail>[] = [
  { heading: 'ID', cell: ({ id }) => id },
  { heading: 'MAIL', cell: ({ template }) => template },
  { heading: 'TO', cell: ({ recipient }) => recipient },
  { heading: 'CREATED', cell: ({ createdAt }) => createdAt.toISOString(), isOptional: true },
  { heading: 'ATTEMPTS', cell: ({ attempts }) => String(attempts) },
  { heading: 'NEXT', cell: ({ nextAttemptAt }) => nextAttemptAt?.toISOString() ?? 'given up' },
  { heading: 'REASON', cell: ({ lastError }) => lastError ?? '-' },
];

/**
 * Renders mails for people.
 *
 * @param width of the terminal, in columns
 */
export function mailsTable(mails: readonly QueuedMail[], width: number): string {
  return textTable(COLUMNS, mails, width);
}

/** Formats a mail for programs. Instants that are not known are null. */
export function mailJson(mail: QueuedMail): object {
  return {
    id: mail.id,
    template: mail.template,
    recipient: mail.recipient,
    created_at: mail.createdAt,
    attempts: mail.attempts,
    next_attempt_at: mail.nextAttemptAt ?? null,
    failed_at: mail.failedAt ?? null,
    last_error: mail.lastError ?? null,
  };
}
