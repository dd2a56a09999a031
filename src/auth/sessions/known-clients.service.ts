import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { Config } from '../../platform/config/config.js';
import type { Transaction } from '../../platform/database/database.service.js';
import type { ClientInfo } from '../../tokens/tokens.types.js';
import type { LockedUser } from '../../users/users.types.js';
import { describeClient, fingerprintOf, placeOf } from './client-fingerprint.js';
import { KnownClientsRepository } from './known-clients.repository.js';

/** Tells a user of a sign-in from where they have never signed in, if the operator has switched that on. */
@Injectable()
export class KnownClientsService {
  private readonly isOn: boolean;

  constructor(
    private readonly repository: KnownClientsRepository,
    private readonly outbox: OutboxService,
    private readonly clock: Clock,
    { mail }: Config,
  ) {
    this.isOn = mail?.newSignIns === true;
  }

  /**
   * Remembers the client of a sign-in, and mails the user if it is new. Not at the first sign-in of which anything is
   * remembered: every client is new then. Costs nothing while it is off.
   *
   * @param user as locked by this transaction
   */
  async recognise(transaction: Transaction, user: LockedUser, client: ClientInfo): Promise<void> {
    if (!this.isOn) {
      return;
    }
    const isNew = await this.repository.recogniseClient(transaction, user.id, fingerprintOf(user.id, client));
    if (isNew) {
      await this.outbox.enqueue(transaction, {
        id: randomUUID(),
        template: 'new_sign_in',
        recipient: user.email,
        locale: user.locale,
        params: { at: this.clock.now().toISOString(), client: describeClient(client), network: placeOf(client) },
      });
    }
  }

  /** Forgets all clients of a user, whether or not it is on now. */
  async forget(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.forgetClients(transaction, userId);
  }
}
