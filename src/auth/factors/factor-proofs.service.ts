import { Injectable } from '@nestjs/common';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import type { Client } from '../auth.types.js';
import type { FactorOccasion, FactorProof, FactorProofKind, FactorVerifier, PreparedProof } from './factor-proof.js';

type Verifiers = { [Kind in FactorProofKind]?: FactorVerifier<Kind> };

/** Gives each proof to the verifier of its kind. */
@Injectable()
export class FactorProofsService {
  private readonly verifiers: Verifiers = {};

  /** Called by the verifier of a kind when its module starts; a kind without one is off. */
  verifyBy<Kind extends FactorProofKind>(kind: Kind, verifier: NonNullable<Verifiers[Kind]>): void {
    this.verifiers[kind] = verifier;
  }

  /**
   * Does what `FactorVerifier.prepare` does.
   *
   * @throws ValidationFailedError for a kind that is off
   */
  async prepare(proof: FactorProof, userId: string, occasion: FactorOccasion, client: Client): Promise<PreparedProof> {
    const verifier = this.verifiers[proof.kind] as FactorVerifier<FactorProofKind> | undefined;
    if (verifier === undefined) {
      throw new ValidationFailedError([{ field: proof.kind, message: 'is not accepted by this service' }]);
    }
    return verifier.prepare(proof, userId, occasion, client);
  }
}
