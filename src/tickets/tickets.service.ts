import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type ServerKey, ServerKeys } from '../platform/common/server-keys.js';
import { Config } from '../platform/config/config.js';
import type { Connection, Transaction } from '../platform/database/database.service.js';
import { TombstoneCleanerService } from '../tokens/tombstone-cleaner.service.js';
import {
  codeOfTicket,
  decodeTicketToken,
  deriveFromTicket,
  encodeTicketToken,
  isCodeOfTicket,
} from './ticket.codec.js';
import { CodeInvalidError, TicketInvalidError } from './tickets.errors.js';
import { TicketsRepository } from './tickets.repository.js';
import {
  type CodedPurpose,
  type Consumption,
  type FormOf,
  type InsufficientForm,
  type PresentedTicket,
  type SufficientForm,
  type Ticket,
  type TicketContents,
  type TicketDerivation,
  type TicketForm,
  TICKET_FORMS,
  type TicketHolder,
  type TicketPurpose,
  TICKET_PURPOSES,
  type TicketVerdict,
} from './tickets.types.js';

/**
 * Issues and consumes what is used once. Nothing that lets in is stored: tokens, codes and challenges are computed from
 * the row's id and the keys of `AUTH_SECRET`, as often as needed. So a dump of the table forges nothing, and neither does
 * a stolen secret, because ids are random.
 */
@Injectable()
export class TicketsService implements OnModuleInit {
  constructor(
    private readonly repository: TicketsRepository,
    private readonly keys: ServerKeys,
    private readonly cleaner: TombstoneCleanerService,
    private readonly config: Config,
  ) {}

  onModuleInit(): void {
    if (this.config.mail === undefined && this.config.factors === undefined) {
      // Nothing here issues tickets.
      return;
    }
    this.cleaner.alsoClean((transaction, batchSize) => this.repository.deleteExpired(transaction, batchSize));
  }

  /** Names a ticket before it exists, so that a retry of `issue` does not make a second one. */
  newTicket<Purpose extends TicketPurpose>(purpose: Purpose): Ticket<Purpose> {
    return { id: randomUUID(), purpose, keyId: this.keys.current.id };
  }

  /**
   * Stores a ticket, which lives for `lifetimeSeconds` of its purpose from now, by the database's clock. Idempotent per
   * `ticket`. Earlier tickets of the user stay good: people click the first of three mails.
   *
   * @param connection a transaction, or the `DatabaseService` for a statement of its own
   * @param contents `user` when the ticket belongs to one: it is bound to this credential version, if its purpose is
   */
  async issue(
    connection: Connection,
    ticket: Ticket,
    contents: { readonly user?: TicketHolder; readonly email?: string; readonly data?: TicketContents['data'] },
  ): Promise<void> {
    await this.repository.insertTicket(connection, ticket, {
      userId: contents.user?.id,
      email: contents.email,
      credentialVersion: versionFor(ticket.purpose, contents.user),
      data: contents.data ?? {},
      lifetimeSeconds: TICKET_PURPOSES[ticket.purpose].lifetimeSeconds,
    });
  }

  /**
   * Returns the token of a ticket in one of its forms, the same each time.
   *
   * @throws TicketInvalidError when the secret that it was issued under is no longer accepted
   */
  tokenOf<Purpose extends TicketPurpose>(ticket: Ticket<Purpose>, form: FormOf<Purpose>): string {
    return encodeTicketToken(form, ticket, this.keyOf(ticket).ticketMacKey);
  }

  /**
   * Returns the eight digits that belong to a ticket, the same each time.
   *
   * @throws TicketInvalidError when the secret that it was issued under is no longer accepted
   */
  codeOf(ticket: Ticket<CodedPurpose>): string {
    return codeOfTicket(ticket.id, this.keyOf(ticket).ticketDerivationKey);
  }

  /** Compares a typed code in constant time, for `consumeProven`. Alone it tells nothing: it counts no attempt. */
  isCodeOf(ticket: Ticket<CodedPurpose>, code: string): boolean {
    return isCodeOfTicket(ticket.id, code, this.keyOf(ticket).ticketDerivationKey);
  }

  /**
   * Returns 32 bytes that belong to a ticket, the same each time, and others for each derivation.
   *
   * @throws TicketInvalidError when the secret that it was issued under is no longer accepted
   */
  derive(ticket: Ticket, derivation: TicketDerivation): Buffer {
    return deriveFromTicket(derivation, ticket.id, this.keyOf(ticket).ticketDerivationKey);
  }

  /**
   * Reads an authentic token of one form without asking the database.
   *
   * @throws TicketInvalidError
   */
  identify<Form extends TicketForm>(form: Form, token: string): PresentedTicket<Form> {
    const parts = decodeTicketToken(form, token, (keyId) => this.keys.find(keyId)?.ticketMacKey);
    if (parts === undefined) {
      throw new TicketInvalidError('shape or tag');
    }
    return { ...parts, form, purpose: TICKET_FORMS[form].purpose };
  }

  /**
   * Returns what a ticket was issued with, whatever has become of it since: the caller has to know the user in order to
   * lock the row, and `consume` judges the ticket under that lock.
   *
   * @returns undefined when there is no such ticket
   */
  find(connection: Connection, ticket: PresentedTicket): Promise<TicketContents | undefined> {
    return this.repository.findTicket(connection, ticket);
  }

  /**
   * Tells whether a ticket of a user could still be used, and uses nothing up: for what only its holder may prepare.
   *
   * @param user as locked by this transaction
   */
  isGood(transaction: Transaction, ticket: PresentedTicket, user: TicketHolder): Promise<boolean> {
    const credentialVersion = versionFor(ticket.purpose, user);
    return this.repository.isTicketGood(transaction, ticket, { userId: user.id, credentialVersion });
  }

  /**
   * Consumes a ticket whose token is enough, at most once however often and wherever it is presented, and the user's
   * other tickets of the purpose with it; one that undoes a change takes only the later ones. The caller has locked the user's row before, in an earlier statement of this
   * transaction, and touches sessions after. May be retried with the same `attemptId` while an outcome is unknown.
   *
   * Returns the verdict instead of throwing, so that the transaction commits what has been counted; `requireConsumed`
   * turns it into an error after the commit.
   */
  consume(
    transaction: Transaction,
    ticket: PresentedTicket<SufficientForm>,
    consumption: Consumption,
  ): Promise<TicketVerdict> {
    return this.judge(transaction, ticket, consumption, true);
  }

  /**
   * Does the same with a ticket that needs a proof: a typed code (`isCodeOf`) or a second factor. The fifth wrong proof
   * kills the ticket. Whether the proof is right shows only in the verdict, so that none can be tried on a ticket that is
   * dead. When the answer to a wrong one is lost with the connection, its retry counts again.
   */
  consumeProven(
    transaction: Transaction,
    ticket: PresentedTicket<InsufficientForm>,
    isProven: boolean,
    consumption: Consumption,
  ): Promise<TicketVerdict> {
    return this.judge(transaction, ticket, consumption, isProven);
  }

  /**
   * Call it after the commit, for a ticket that is proven by a typed code or by nothing.
   *
   * @throws TicketInvalidError, CodeInvalidError
   */
  requireConsumed(verdict: TicketVerdict): TicketContents {
    switch (verdict.kind) {
      case 'consumed':
      case 'consumed before':
        return verdict.contents;
      case 'unproven':
        throw new CodeInvalidError();
      case 'refused':
        throw new TicketInvalidError(verdict.reason);
    }
  }

  private judge(
    transaction: Transaction,
    ticket: PresentedTicket,
    { attemptId, user }: Consumption,
    isProven: boolean,
  ): Promise<TicketVerdict> {
    return this.repository.judgeTicket(transaction, ticket, {
      userId: user?.id,
      credentialVersion: versionFor(ticket.purpose, user),
      attemptId,
      isProven,
    });
  }

  private keyOf({ keyId }: Ticket): ServerKey {
    const key = this.keys.find(keyId);
    if (key === undefined) {
      throw new TicketInvalidError('issued under a secret that is no longer accepted');
    }
    return key;
  }
}

function versionFor(purpose: TicketPurpose, user: TicketHolder | undefined): number | undefined {
  return TICKET_PURPOSES[purpose].isBoundToCredentials ? user?.credentialVersion : undefined;
}
