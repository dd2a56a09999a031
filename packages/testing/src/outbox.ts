import type { MessageRecord, OutboxAnswer } from './contract.js';
import { RatchetTestError } from './errors.js';
import { callJson } from './http.js';

/** A mail that the service has sent. It is in memory only: no mail of a test leaves the runner. */
export interface TestMail {
  readonly id: string;
  /** When it was sent, by the clock of the namespace. */
  readonly at: Date;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The addresses in `text`, in their order: `http://localhost/#password_reset=pr1.…`. */
  readonly links: readonly string[];
  /** The codes of eight digits in `text`, as a user types them. */
  readonly codes: readonly string[];
}

export interface MailFilter {
  /** The recipient, as an address or a user. */
  readonly to?: string | { readonly email: string };
}

/** The mails of a namespace, of all its users. */
export class NamespaceOutbox {
  private readonly returnedIds = new Set<string>();

  /** Use `ns.outbox`. */
  constructor(private readonly url: string) {}

  /**
   * Returns the oldest mail that `next` has not returned yet, and waits for it if need be.
   *
   * @param options `withinMs`: for how long it waits at most. Default: 5000.
   * @throws RatchetTestError `no_mail` when there is none in that time; the message names those that there are
   */
  async next({ to, withinMs = 5_000 }: MailFilter & { readonly withinMs?: number } = {}): Promise<TestMail> {
    const endsAtMs = performance.now() + withinMs;
    for (let after = 0; ;) {
      const leftMs = Math.max(0, endsAtMs - performance.now());
      const answer = await this.read(to, after, leftMs);
      const message = answer.messages.find(({ id }) => !this.returnedIds.has(id));
      if (message !== undefined) {
        this.returnedIds.add(message.id);
        return readMail(message);
      }
      after = answer.cursor;
      if (leftMs === 0) {
        throw await this.noMailError(to, withinMs);
      }
    }
  }

  /** Returns the last 1,000 mails since the last reset, the oldest first. It does not wait. */
  async list({ to }: MailFilter = {}): Promise<readonly TestMail[]> {
    return (await this.read(to, 0, 0)).messages.map(readMail);
  }

  private async read(to: MailFilter['to'], after: number, waitMs: number): Promise<OutboxAnswer> {
    const query = new URLSearchParams({ after: String(after), wait: Math.min(waitMs / 1_000, 30).toFixed(3) });
    if (to !== undefined) {
      query.set('to', addressOf(to));
    }
    return (await callJson('GET', `${this.url}?${query.toString()}`)) as OutboxAnswer;
  }

  private async noMailError(to: MailFilter['to'], withinMs: number): Promise<RatchetTestError> {
    const sent = (await this.list()).map((mail) => `"${mail.subject}" to ${mail.to}`).join(', ') || 'none';
    const wanted = to === undefined ? 'no further mail' : `no further mail to ${addressOf(to)}`;
    return new RatchetTestError(`There was ${wanted} in ${withinMs} ms. Mails since the reset: ${sent}.`, {
      code: 'no_mail',
    });
  }
}

function addressOf(to: NonNullable<MailFilter['to']>): string {
  return typeof to === 'string' ? to : to.email;
}

function readMail({ at, ...rest }: MessageRecord): TestMail {
  return { ...rest, at: new Date(at) };
}
