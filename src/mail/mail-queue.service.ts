import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../platform/database/database.service.js';
import type { MailQueueState, QueuedMail } from './mail.types.js';
import { OutgoingMailsRepository } from './outgoing-mails.repository.js';

/** Shows what has not been sent to operators, and lets them try again. */
@Injectable()
export class MailQueueService {
  constructor(
    private readonly database: DatabaseService,
    private readonly repository: OutgoingMailsRepository,
  ) {}

  /** How many mails wait, and for how long the oldest has; those to nobody are not counted. */
  state(): Promise<MailQueueState> {
    return this.repository.readQueueState(this.database);
  }

  /** Returns the mails that wait and those that were given up, the oldest first. */
  list(limit: number): Promise<QueuedMail[]> {
    return this.repository.listUnsent(this.database, limit);
  }

  /**
   * Makes mails that were given up or wait due now. A mail whose link has expired is not sent all the same.
   *
   * @param id one mail; undefined for all that were given up
   * @returns how many there were
   */
  retry(id: string | undefined): Promise<number> {
    return this.repository.makeDue(this.database, id);
  }
}
