import { Injectable } from '@nestjs/common';
import { Config } from '../../platform/config/config.js';
import type { Transaction } from '../../platform/database/database.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { AuthenticationMethod, ClientInfo, NewFamily, SessionGrant } from '../../tokens/tokens.types.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { type Ticket, TICKET_PURPOSES } from '../../tickets/tickets.types.js';
import type { LockedUser, SecondFactor } from '../../users/users.types.js';
import { SecondFactorRequiredError } from '../auth.errors.js';
import { KnownClientsService } from './known-clients.service.js';

/** Names what a sign-in may come to, before the first attempt, so that a retry makes nothing twice. */
export interface NewSignIn {
  readonly family: NewFamily;
  readonly ticket: Ticket<'second_factor'>;
}

export interface OpenedSession {
  readonly kind: 'opened';
  readonly grant: SessionGrant;
  /** The sessions that the limit ended; the caller passes them to `announceEnded` after its commit. */
  readonly evictedIds: readonly string[];
}

export type SignInOutcome =
  | OpenedSession
  | {
      readonly kind: 'second_factor_required';
      /** Undefined where second factors are off, and the second step with them. */
      readonly ticket: Ticket<'second_factor'> | undefined;
      readonly factors: readonly SecondFactor[];
    };

/**
 * The one door to a new session. Every way in ends here, whatever it asks of the user, so that what is asked of all of
 * them has one place: a second path to a session would be a way around it. Here a user who has a second factor is asked for
 * it. Where second factors have been switched off since, such a user cannot sign in.
 */
@Injectable()
export class SignInsService {
  constructor(
    private readonly tokens: TokensService,
    private readonly tickets: TicketsService,
    private readonly knownClients: KnownClientsService,
    private readonly config: Config,
  ) {}

  newSignIn(userId: string): NewSignIn {
    return { family: this.tokens.newFamily(userId), ticket: this.tickets.newTicket('second_factor') };
  }

  /**
   * Opens a session inside the caller's transaction, and records on it how the user has just proved who they are. A user who
   * has a second factor, and has not proved one of theirs, gets a ticket for the second step instead, which keeps what has been
   * proved. Idempotent per `family` and `ticket`.
   *
   * @param user as locked by this transaction; the caller has checked status and credential version under the lock
   * @param methods what the user has proved in this sign-in, all of it
   * @returns what `requireOpened` makes a session of, after the commit
   */
  async open(
    transaction: Transaction,
    user: LockedUser,
    methods: readonly AuthenticationMethod[],
    { family, ticket, client }: NewSignIn & { readonly client: ClientInfo },
  ): Promise<SignInOutcome> {
    if (user.secondFactors.length > 0 && !methods.includes('mfa')) {
      if (this.config.factors === undefined) {
        return { kind: 'second_factor_required', ticket: undefined, factors: user.secondFactors };
      }
      await this.tickets.issue(transaction, ticket, { user, data: { amr: methods } });
      return { kind: 'second_factor_required', ticket, factors: user.secondFactors };
    }
    const opened = await this.tokens.createFamily(transaction, family, user, methods, client);
    await this.knownClients.recognise(transaction, user, client);
    return { kind: 'opened', ...opened };
  }

  /**
   * Call it after the commit.
   *
   * @throws SecondFactorRequiredError
   */
  requireOpened(outcome: SignInOutcome): OpenedSession {
    if (outcome.kind === 'opened') {
      return outcome;
    }
    const { ticket, factors } = outcome;
    throw new SecondFactorRequiredError(
      factors,
      ticket && {
        token: this.tickets.tokenOf(ticket, 'lg1'),
        expiresInSeconds: TICKET_PURPOSES.second_factor.lifetimeSeconds,
      },
    );
  }
}
