import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type PresentedRecoveryCode, RecoveryCodesService } from '../../factors/recovery-codes.service.js';
import { type PresentedTotp, TotpFactorsService } from '../../factors/totp-factors.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import type { PreparedProof } from './factor-proof.js';
import { FactorProofsService } from './factor-proofs.service.js';

/** What a code adds to an `amr`: with what the user has proved before it makes two factors. */
export const CODE_METHODS = ['otp', 'mfa'] as const;

/** Takes the codes of authenticator apps and recovery codes as proofs. Both need the lock, and nothing before it. */
@Injectable()
export class CodeVerifiersService implements OnModuleInit {
  constructor(
    private readonly proofs: FactorProofsService,
    private readonly totpFactors: TotpFactorsService,
    private readonly recoveryCodes: RecoveryCodesService,
    private readonly outbox: OutboxService,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.proofs.verifyBy('totp', { prepare: ({ code }) => Promise.resolve(this.prepareTotp({ code })) });
    this.proofs.verifyBy('recovery_code', {
      prepare: ({ code }) => Promise.resolve(this.prepareRecoveryCode({ code })),
    });
  }

  private prepareTotp(presented: PresentedTotp): PreparedProof {
    return {
      judge: async (transaction, user) => {
        const { isRight, use } = await this.totpFactors.judge(transaction, user.id, presented);
        return { isProven: isRight, methods: CODE_METHODS, accept: use };
      },
    };
  }

  /** A used code is told by mail: the user may not have used it. */
  private prepareRecoveryCode(presented: PresentedRecoveryCode): PreparedProof {
    const mailId = randomUUID();
    return {
      judge: async (transaction, user) => {
        const { isRight, use } = await this.recoveryCodes.judge(transaction, user.id, presented);
        return {
          isProven: isRight,
          methods: CODE_METHODS,
          accept: async () => {
            await use();
            await this.outbox.enqueue(transaction, {
              id: mailId,
              template: 'recovery_code_used',
              recipient: user.email,
              locale: user.locale,
              params: {
                left: await this.recoveryCodes.countLeft(user.id, transaction),
                at: this.clock.now().toISOString(),
              },
            });
          },
        };
      },
    };
  }
}
