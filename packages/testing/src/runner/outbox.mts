import { setTimeout as pause } from 'node:timers/promises';
import type { MessageRecord, OutboxAnswer } from '../contract.js';

const MOST_MESSAGES = 1_000;

/** What the service hands over to be sent. */
export interface SentMail {
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** Which messages a caller wants. */
export interface MessageQuery {
  /** The address of the recipient, compared without regard to case. */
  readonly to?: string | undefined;
  /** The cursor of an earlier answer. */
  readonly after?: number;
  /** For how long the answer may wait for a message that is not there yet. */
  readonly waitSeconds?: number;
}

/** Keeps the last 1,000 mails of a namespace in memory: none is sent, and none is written to a file. */
export class Outbox {
  private messages: MessageRecord[] = [];
  /** How many messages there have been before the first one. */
  private forgotten = 0;
  private readonly waiting = new Set<AbortController>();

  /** @param at by the clock of the namespace */
  add({ id, to, subject, text, html }: SentMail, at: Date): void {
    const links = [...new Set(text.match(/https?:\/\/[^\s<>"]+/g))];
    const withoutLinks = links.reduce((rest, link) => rest.replaceAll(link, ' '), text);
    const codes = [...withoutLinks.matchAll(/(?<![\d.])(\d{4})[ \u00a0-]?(\d{4})(?![\d.])/g)];
    this.messages.push({
      id,
      at: at.toISOString(),
      to,
      subject,
      text,
      html,
      links,
      codes: [...new Set(codes.map(([, first = '', second = '']) => first + second))],
    });
    if (this.messages.length > MOST_MESSAGES) {
      this.messages.shift();
      this.forgotten += 1;
    }
    this.waiting.forEach((waiting) => {
      waiting.abort();
    });
  }

  /** Answers at once if there is a message, and otherwise when there is one or the time is over. */
  async list({ to, after = 0, waitSeconds = 0 }: MessageQuery): Promise<OutboxAnswer> {
    const endsAtMs = performance.now() + waitSeconds * 1_000;
    for (;;) {
      const found = this.read(to?.toLowerCase(), after);
      const leftMs = endsAtMs - performance.now();
      if (found.messages.length > 0 || leftMs <= 0) {
        return found;
      }
      const waiting = new AbortController();
      this.waiting.add(waiting);
      await pause(leftMs, undefined, waiting).catch(() => undefined);
      this.waiting.delete(waiting);
    }
  }

  clear(): void {
    this.forgotten += this.messages.length;
    this.messages = [];
  }

  private read(to: string | undefined, after: number): OutboxAnswer {
    const fresh = this.messages.slice(Math.max(0, after - this.forgotten));
    return {
      messages: to === undefined ? fresh : fresh.filter((message) => message.to.toLowerCase() === to),
      cursor: this.forgotten + this.messages.length,
    };
  }
}
