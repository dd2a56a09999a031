import {
  TICKET_FORMS,
  type TicketForm,
  TICKET_PURPOSES,
  type TicketPurpose,
  type TicketRefusal,
} from '../../../src/tickets/tickets.types.js';

/** What a presentation is told, with a refusal by its reason. */
export type Verdict = 'consumed' | 'consumed before' | 'unproven' | TicketRefusal;

export interface ModelTicket {
  readonly purpose: TicketPurpose;
  /** Undefined for a ticket of no user. */
  readonly user: number | undefined;
  /** The user's credential version when it was issued. */
  readonly version: number | undefined;
  readonly issuedAtSeconds: number;
  readonly wrongProofs: number;
  readonly isConsumed: boolean;
  /** Undefined also for one that a sibling took with it. */
  readonly consumedBy: string | undefined;
  readonly isCleanedUp: boolean;
}

export interface World {
  readonly nowSeconds: number;
  /** Credential version by user. */
  readonly versions: readonly number[];
  readonly tickets: readonly ModelTicket[];
}

const WRONG_PROOFS = 5;
const KEPT_SECONDS = 3_600;

export function newWorld(userCount: number): World {
  return { nowSeconds: 0, versions: Array.from({ length: userCount }, () => 1), tickets: [] };
}

export function issue(world: World, purpose: TicketPurpose, user: number | undefined): World {
  const ticket: ModelTicket = {
    purpose,
    user,
    version: user === undefined ? undefined : world.versions[user],
    issuedAtSeconds: world.nowSeconds,
    wrongProofs: 0,
    isConsumed: false,
    consumedBy: undefined,
    isCleanedUp: false,
  };
  return { ...world, tickets: [...world.tickets, ticket] };
}

export function present(
  world: World,
  index: number,
  { form, isProven, attemptId }: { readonly form: TicketForm; readonly isProven: boolean; readonly attemptId: string },
): { readonly world: World; readonly verdict: Verdict } {
  const ticket = world.tickets[index]!;
  const isRight = isProven || TICKET_FORMS[form].needs === 'nothing';
  const verdict = judge(world, ticket, attemptId, isRight);
  const tickets = world.tickets.map((each, place): ModelTicket => {
    if (place === index) {
      return {
        ...each,
        ...(verdict === 'consumed' && { isConsumed: true, consumedBy: attemptId }),
        wrongProofs: each.wrongProofs + (verdict === 'unproven' ? 1 : 0),
      };
    }
    const isSibling = each.user !== undefined && each.user === ticket.user && each.purpose === ticket.purpose;
    const isTaken = isSibling && (isBound(ticket) || place > index);
    return verdict === 'consumed' && isTaken ? { ...each, isConsumed: true } : each;
  });
  return { world: { ...world, tickets }, verdict };
}

export function changeCredentials(world: World, user: number): World {
  return { ...world, versions: world.versions.map((version, index) => (index === user ? version + 1 : version)) };
}

export function cleanUp(world: World): { readonly world: World; readonly count: number } {
  const isDue = (ticket: ModelTicket): boolean =>
    !ticket.isCleanedUp && world.nowSeconds >= expiresAt(ticket) + KEPT_SECONDS;
  return {
    world: {
      ...world,
      tickets: world.tickets.map((ticket) => (isDue(ticket) ? { ...ticket, isCleanedUp: true } : ticket)),
    },
    count: world.tickets.filter(isDue).length,
  };
}

function judge(world: World, ticket: ModelTicket, attemptId: string, isRight: boolean): Verdict {
  if (ticket.isCleanedUp) {
    return 'unknown';
  }
  if (ticket.isConsumed) {
    return ticket.consumedBy === attemptId ? 'consumed before' : 'used';
  }
  if (world.nowSeconds >= expiresAt(ticket)) {
    return 'expired';
  }
  if (ticket.wrongProofs >= WRONG_PROOFS) {
    return 'exhausted';
  }
  if (isBound(ticket) && ticket.user !== undefined && ticket.version !== world.versions[ticket.user]) {
    return 'superseded';
  }
  return isRight ? 'consumed' : 'unproven';
}

function isBound({ purpose }: ModelTicket): boolean {
  return purpose !== 'email_change_undo';
}

function expiresAt({ purpose, issuedAtSeconds }: ModelTicket): number {
  return issuedAtSeconds + TICKET_PURPOSES[purpose].lifetimeSeconds;
}
