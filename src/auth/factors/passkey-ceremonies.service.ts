import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RefusedTokenLimiterService } from '../../limits/refused-token-limiter.service.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import type { Ticket, TicketContents, TicketVerdict } from '../../tickets/tickets.types.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';
import type { Client } from '../auth.types.js';
import { UserTurnsService } from '../user-turns.service.js';

/** What the challenge of a ceremony is for. No other ceremony accepts its ticket. */
export type Ceremony =
  /** Anyone's, who signs in with a passkey alone. */
  | { readonly kind: 'sign_in' }
  | {
      readonly kind: 'registration' | 'step_up';
      readonly userId: string;
      readonly sessionId: string;
    }
  | {
      readonly kind: 'second_factor';
      readonly userId: string;
      /** The id of the `lg1` ticket that the first step was answered with. */
      readonly loginId: string;
    };

/** A ceremony whose ticket has been used up. */
export interface ConsumedCeremony {
  /** Base64url. */
  readonly challenge: string;
  /** By the database's clock. */
  readonly begunAtSeconds: number;
}

/** Issues and consumes the tickets of WebAuthn ceremonies, and with them the challenges. */
@Injectable()
export class PasskeyCeremoniesService {
  constructor(
    private readonly tickets: TicketsService,
    private readonly users: UsersService,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly refusedTokenLimiter: RefusedTokenLimiterService,
  ) {}

  /** Names a ceremony before it is stored, so that a retry does not make a second one. */
  newTicket(): Ticket<'webauthn'> {
    return this.tickets.newTicket('webauthn');
  }

  /** @returns base64url */
  challengeOf(ticket: Ticket<'webauthn'>): string {
    return this.tickets.derive(ticket, 'webauthn challenge').toString('base64url');
  }

  tokenOf(ticket: Ticket<'webauthn'>): string {
    return this.tickets.tokenOf(ticket, 'wa1');
  }

  /** Begins a ceremony of no user. */
  async beginAnonymous(ticket: Ticket<'webauthn'>): Promise<void> {
    await this.database.settle(() => this.tickets.issue(this.database, ticket, { data: dataOf({ kind: 'sign_in' }) }));
  }

  /** @param user as locked by this transaction */
  async begin(
    transaction: Transaction,
    ticket: Ticket<'webauthn'>,
    user: LockedUser,
    ceremony: Exclude<Ceremony, { readonly kind: 'sign_in' }>,
  ): Promise<void> {
    await this.tickets.issue(transaction, ticket, { user, data: dataOf(ceremony) });
  }

  /**
   * Uses up the ticket of a ceremony, and commits that before anything is verified by its challenge: a challenge that was
   * answered wrongly once is never answered again.
   *
   * @throws TicketInvalidError also for the ticket of another ceremony, which stays as it is, and for a disabled user
   * @throws TooManyAttemptsError once the network has shown too many tokens that this service never issued
   */
  async consume(token: string, ceremony: Ceremony, client: Client): Promise<ConsumedCeremony> {
    const ticket = await this.refusedTokenLimiter.limitRefusals(client.networks[0], () =>
      this.tickets.identify('wa1', token),
    );
    const found = await this.tickets.find(this.database, ticket);
    if (found === undefined || !isOf(ceremony, found)) {
      throw new TicketInvalidError('unknown, or of another ceremony');
    }
    const attemptId = randomUUID();
    const { userId } = found;
    const consume = (): Promise<TicketVerdict> =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          if (userId === undefined) {
            return this.tickets.consume(transaction, ticket, { attemptId, user: undefined });
          }
          const user = await this.users.lockUser(transaction, userId);
          return user?.status === 'active'
            ? this.tickets.consume(transaction, ticket, { attemptId, user })
            : { kind: 'refused', reason: 'unknown' };
        }),
      );
    const contents = this.tickets.requireConsumed(
      await (userId === undefined ? consume() : this.turns.run(userId, consume)),
    );
    return { challenge: this.challengeOf(ticket), begunAtSeconds: contents.issuedAt.getTime() / 1000 };
  }
}

/** What a ticket says of its ceremony besides its user. */
function dataOf(ceremony: Ceremony): TicketContents['data'] {
  switch (ceremony.kind) {
    case 'sign_in':
      return { ceremony: ceremony.kind };
    case 'registration':
    case 'step_up':
      return { ceremony: ceremony.kind, session_id: ceremony.sessionId };
    case 'second_factor':
      return { ceremony: ceremony.kind, login_id: ceremony.loginId };
  }
}

function isOf(ceremony: Ceremony, { userId, data }: TicketContents): boolean {
  const owner = ceremony.kind === 'sign_in' ? undefined : ceremony.userId;
  const expected = dataOf(ceremony);
  return (
    userId === owner && ['ceremony', 'session_id', 'login_id'].every((member) => data[member] === expected[member])
  );
}
