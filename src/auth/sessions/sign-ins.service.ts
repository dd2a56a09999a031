import { Injectable } from '@nestjs/common';
import type { Transaction } from '../../platform/database/database.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { AuthenticationMethod, ClientInfo, NewFamily, SessionGrant } from '../../tokens/tokens.types.js';
import type { LockedUser } from '../../users/users.types.js';
import { KnownClientsService } from './known-clients.service.js';

/**
 * The one door to a new session. Every way in ends here, whatever it asks of the user, so that what is asked of all of
 * them has one place: a second path to a session would be a way around it.
 */
@Injectable()
export class SignInsService {
  constructor(
    private readonly tokens: TokensService,
    private readonly knownClients: KnownClientsService,
  ) {}

  /**
   * Opens a session inside the caller's transaction, and records on it how the user has just proved who they are.
   * Idempotent per `family`.
   *
   * @param user as locked by this transaction; the caller has checked status and credential version under the lock
   * @param methods what the user has proved in this sign-in, all of it
   * @returns the grant, and the sessions that the limit ended; the caller passes them to `announceEnded` after its
   *   commit
   */
  async open(
    transaction: Transaction,
    user: LockedUser,
    methods: readonly AuthenticationMethod[],
    { family, client }: { readonly family: NewFamily; readonly client: ClientInfo },
  ): Promise<{ readonly grant: SessionGrant; readonly evictedIds: readonly string[] }> {
    const opened = await this.tokens.createFamily(transaction, family, user, methods, client);
    await this.knownClients.recognise(transaction, user, client);
    return opened;
  }
}
