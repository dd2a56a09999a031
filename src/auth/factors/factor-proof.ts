import type { Transaction } from '../../platform/database/database.service.js';
import type { AuthenticationMethod } from '../../tokens/tokens.types.js';
import type { LockedUser } from '../../users/users.types.js';
import type { Client } from '../auth.types.js';

/** What a client shows of a second factor. */
export type FactorProof =
  | { readonly kind: 'totp'; readonly code: string }
  | { readonly kind: 'recovery_code'; readonly code: string }
  | { readonly kind: 'passkey'; readonly ticket: string; readonly credential: Readonly<Record<string, unknown>> };

export type FactorProofKind = FactorProof['kind'];

/** What a proof is for. The challenge that a passkey signs is good for one occasion only. */
export type FactorOccasion =
  /** `loginId`: the id of the `lg1` ticket. */
  | { readonly kind: 'second_factor'; readonly loginId: string }
  | { readonly kind: 'step_up'; readonly sessionId: string };

/** What a proof says under the lock of one transaction. */
export interface JudgedProof {
  readonly isProven: boolean;
  /** What it adds to an `amr`. */
  readonly methods: readonly AuthenticationMethod[];
  /**
   * Uses the proof up in the transaction that judged it, by a compare-and-set: neither another presentation nor another
   * instance can use it again. Called only when it is proven, and only when what it is for happens.
   */
  accept(): Promise<void>;
}

/** A proof that is ready to be judged, as often as its transaction is retried. */
export interface PreparedProof {
  /** @param user as locked by this transaction */
  judge(transaction: Transaction, user: LockedUser): Promise<JudgedProof>;
}

/** Judges proofs of one kind. */
export interface FactorVerifier<Kind extends FactorProofKind> {
  /**
   * Does outside a transaction what need not be done under a lock. A wrong proof is prepared like a right one, and judged as
   * wrong, so that it counts.
   *
   * @throws TicketInvalidError when the proof has a ticket of its own, and that is dead
   */
  prepare(
    proof: Extract<FactorProof, { readonly kind: Kind }>,
    userId: string,
    occasion: FactorOccasion,
    client: Client,
  ): Promise<PreparedProof>;
}
