import { Injectable } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import type { Connection } from '../platform/database/database.service.js';
import { localesOf, pickLocale } from './locale.js';
import type { MailOutcome, OutgoingMail } from './mail.types.js';
import { OutgoingMailsRepository } from './outgoing-mails.repository.js';

/**
 * Takes mails in the transaction of their cause: what is rolled back is never mailed, and what is committed is mailed even
 * if this instance dies. What sends them is `MailModule`.
 */
@Injectable()
export class OutboxService {
  /** Whether mail is on, see `MAIL_URL`. */
  readonly isOn: boolean;

  private readonly locales: readonly string[];
  private listener: () => void = () => undefined;
  private observer: (outcome: MailOutcome) => void = () => undefined;

  constructor(
    private readonly repository: OutgoingMailsRepository,
    { mail }: Config,
  ) {
    this.isOn = mail !== undefined;
    this.locales = mail === undefined ? [] : localesOf(mail.templatesDir);
  }

  /** Stores a mail; idempotent per `id`. Does nothing when mail is off. */
  async enqueue(connection: Connection, mail: OutgoingMail): Promise<void> {
    if (this.isOn) {
      await this.repository.insertMail(connection, mail);
    }
  }

  /**
   * Stores a mail in a command, which does not know whether mail is on; idempotent per `id`. An instance sends it, and where mail
   * is off it stays unsent.
   */
  async enqueueForInstances(connection: Connection, mail: OutgoingMail): Promise<void> {
    await this.repository.insertMail(connection, mail);
  }

  /**
   * Chooses the language of a user's mails among those that there are templates in.
   *
   * @param acceptLanguage the header of the request
   * @returns undefined when the header names none of them; `MAIL_LOCALE` is used then
   */
  localeFor(acceptLanguage: string | undefined): string | undefined {
    return pickLocale(acceptLanguage, this.locales);
  }

  /** Call it after the commit: this instance looks for mails at once. All instances do so every few seconds anyway. */
  wake(): void {
    this.listener();
  }

  /** Calls `listener` with every `wake`; for what sends the mails. */
  onWake(listener: () => void): void {
    this.listener = listener;
  }

  /** Tells the observer what has become of a mail; for what sends them. */
  count(outcome: MailOutcome): void {
    this.observer(outcome);
  }

  /** Calls `observer` with the outcome of every attempt of this instance. */
  observeOutcomes(observer: (outcome: MailOutcome) => void): void {
    this.observer = observer;
  }
}
