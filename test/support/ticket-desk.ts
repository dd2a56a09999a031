import { randomUUID } from 'node:crypto';
import { TemporarilyUnavailableError } from '../../src/platform/common/domain.errors.js';
import { DatabaseService, type Transaction } from '../../src/platform/database/database.service.js';
import { TicketsService } from '../../src/tickets/tickets.service.js';
import {
  type CodedPurpose,
  type InsufficientForm,
  type PresentedTicket,
  type SufficientForm,
  type Ticket,
  TICKET_FORMS,
  type TicketContents,
  type TicketForm,
  type TicketPurpose,
  type TicketVerdict,
} from '../../src/tickets/tickets.types.js';
import { UsersService } from '../../src/users/users.service.js';
import type { LockedUser } from '../../src/users/users.types.js';
import type { TestService } from './test-service.js';

/** Turns on what issues tickets, so that an instance cleans them up. */
export const TICKETS_ON = { SECOND_FACTORS: 'on' } as const;

export interface Presentation {
  /** What is typed, for a form that needs a code. */
  readonly code?: string;
  readonly attemptId?: string;
  /** What the ticket is consumed for, in its transaction. */
  readonly effect?: (transaction: Transaction, user: LockedUser | undefined) => Promise<void>;
}

/** Does with the tickets of one instance what a route would do with them. */
export class TicketDesk {
  constructor(private readonly service: Pick<TestService, 'app'>) {}

  get tickets(): TicketsService {
    return this.service.app.get(TicketsService);
  }

  private get database(): DatabaseService {
    return this.service.app.get(DatabaseService);
  }

  /** For a user it is issued under the user's lock. */
  async issue<Purpose extends TicketPurpose>(
    purpose: Purpose,
    { userId, ...contents }: Partial<Pick<TicketContents, 'userId' | 'email' | 'data'>> = {},
  ): Promise<Ticket<Purpose>> {
    const ticket = this.tickets.newTicket(purpose);
    await this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        const user = userId === undefined ? undefined : await this.lockUser(transaction, userId);
        await this.tickets.issue(transaction, ticket, {
          ...(user !== undefined && { user }),
          ...(contents.email !== undefined && { email: contents.email }),
          ...(contents.data !== undefined && { data: contents.data }),
        });
      }),
    );
    return ticket;
  }

  /**
   * Like a client, presents again while the instance has no connection free and says that nothing was done.
   *
   * @throws TicketInvalidError before any query, when the token is not one of this form
   */
  async present(form: TicketForm, token: string, presentation: Presentation = {}): Promise<TicketVerdict> {
    for (;;) {
      try {
        return await this.presentOnce(form, token, presentation);
      } catch (error) {
        if (!(error instanceof TemporarilyUnavailableError)) {
          throw error;
        }
      }
    }
  }

  private async presentOnce(form: TicketForm, token: string, presentation: Presentation): Promise<TicketVerdict> {
    const { attemptId = randomUUID(), effect } = presentation;
    const ticket = this.tickets.identify(form, token);
    return this.database.settle(() =>
      this.database.transaction(async (transaction) => {
        const contents = await this.tickets.find(transaction, ticket);
        const user = contents?.userId === undefined ? undefined : await this.lockUser(transaction, contents.userId);
        const consumption = { attemptId, user };
        const verdict = needsProof(ticket)
          ? await this.tickets.consumeProven(transaction, ticket, this.isProof(ticket, presentation), consumption)
          : await this.tickets.consume(transaction, ticket as PresentedTicket<SufficientForm>, consumption);
        if (verdict.kind === 'consumed') {
          await effect?.(transaction, user);
        }
        return verdict;
      }),
    );
  }

  private isProof(ticket: PresentedTicket<InsufficientForm>, { code = '' }: Presentation): boolean {
    // The module does not know what a second factor is.
    return ticket.form === 'lg1' ? code === 'right' : this.tickets.isCodeOf(ticket as Ticket<CodedPurpose>, code);
  }

  private lockUser(transaction: Transaction, userId: string): Promise<LockedUser | undefined> {
    return this.service.app.get(UsersService).lockUser(transaction, userId);
  }
}

function needsProof(ticket: PresentedTicket): ticket is PresentedTicket<InsufficientForm> {
  return TICKET_FORMS[ticket.form].needs !== 'nothing';
}
