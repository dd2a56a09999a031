import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type PresentedAssertion, PasskeysService } from '../../factors/passkeys.service.js';
import type { AuthenticationMethod } from '../../tokens/tokens.types.js';
import type { Client } from '../auth.types.js';
import type { FactorOccasion, FactorProof, JudgedProof, PreparedProof } from './factor-proof.js';
import { FactorProofsService } from './factor-proofs.service.js';
import { PasskeyCeremoniesService } from './passkey-ceremonies.service.js';
import { readAssertion } from './passkey-credentials.js';

const REFUSED: JudgedProof = { isProven: false, methods: [], accept: () => Promise.resolve() };

/** What a passkey adds to an `amr`; `user` says that it asked for a PIN or a biometric. */
export function methodsOfPasskey({ isUserVerified }: { readonly isUserVerified: boolean }): AuthenticationMethod[] {
  return isUserVerified ? ['pop', 'user', 'mfa'] : ['pop', 'mfa'];
}

/** Takes passkeys as proofs of a second factor and of a step-up. */
@Injectable()
export class PasskeyVerifierService implements OnModuleInit {
  constructor(
    private readonly proofs: FactorProofsService,
    private readonly passkeys: PasskeysService,
    private readonly ceremonies: PasskeyCeremoniesService,
  ) {}

  onModuleInit(): void {
    this.proofs.verifyBy('passkey', this);
  }

  /**
   * Uses up the challenge, and verifies the signature. A step-up needs a verified user, because it stands for the strongest
   * class.
   *
   * @throws ValidationFailedError, TicketInvalidError, TooManyAttemptsError nothing was verified
   */
  async prepare(
    proof: Extract<FactorProof, { readonly kind: 'passkey' }>,
    userId: string,
    occasion: FactorOccasion,
    client: Client,
  ): Promise<PreparedProof> {
    const credential = readAssertion(proof.credential);
    const { challenge } = await this.ceremonies.consume(proof.ticket, { ...occasion, userId }, client);
    const verification = await this.passkeys.verifyAssertion(credential, challenge, {
      isUserVerified: occasion.kind === 'step_up',
      ownerId: userId,
    });
    if (verification.kind === 'refused') {
      return { judge: () => Promise.resolve(REFUSED) };
    }
    const presented: PresentedAssertion = verification.value;
    return {
      judge: async (transaction) => {
        const { isRight, use } = await this.passkeys.judge(transaction, presented);
        return { isProven: isRight, methods: methodsOfPasskey(presented), accept: use };
      },
    };
  }
}
