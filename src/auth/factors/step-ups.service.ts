import { Injectable } from '@nestjs/common';
import { SecondFactorInvalidError } from '../../factors/factors.errors.js';
import { AccountDisabledError, DomainError, OutcomeUnknownError } from '../../platform/common/domain.errors.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { AccessGrant } from '../../tokens/tokens.types.js';
import { InvalidCredentialsError } from '../../users/users.errors.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { AccessTokenRevokedError, SecondFactorRequiredError } from '../auth.errors.js';
import type { Client, Identity, TokenPair } from '../auth.types.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import type { JudgedProof, PreparedProof } from './factor-proof.js';
import { FactorAttemptsService } from './factor-attempts.service.js';
import { FactorProofsService } from './factor-proofs.service.js';
import type { StepUpProof } from './step-ups.dto.js';

type Accepted = Pick<JudgedProof, 'methods' | 'accept'>;

/** Says under the lock on the user's row whether a proof counts, or why not. */
type Judge = (transaction: Transaction, user: LockedUser) => Accepted | DomainError | Promise<Accepted | DomainError>;

/** Lets users who are signed in prove more, or again (RFC 9470). */
@Injectable()
export class StepUpsService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly proofs: FactorProofsService,
    private readonly attempts: FactorAttemptsService,
    private readonly sessions: SessionsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
  ) {}

  /**
   * Records on the session what its user has just proved, and signs an access token that says so. It carries no role that
   * the presented one does not: that may have been narrowed.
   *
   * A user with second factors cannot step up by the password: `aal2` and a fresh `auth_time` together mean that a second
   * factor was at work lately, and the password alone would make them so.
   *
   * @throws InvalidCredentialsError, SecondFactorInvalidError, TicketInvalidError, TooManyAttemptsError
   * @throws SecondFactorRequiredError after a right password of a user with second factors
   * @throws AccessTokenRevokedError when the session has ended meanwhile, AccountDisabledError
   * @throws ValidationFailedError, OverloadedError
   * @throws OutcomeUnknownError also when an attempt whose answer was lost may have used the proof up
   */
  async stepUp(
    identity: Identity,
    proof: StepUpProof,
    client: Client,
  ): Promise<Pick<TokenPair, 'accessToken' | 'expiresInSeconds'>> {
    this.issuer.requireKey();
    const { userId, sessionId } = identity;
    const grant =
      proof.kind === 'password'
        ? await this.settle(identity, await this.judgePassword(identity, proof.password, client))
        : await this.attempts.countAttempt(userId, client, async () => {
            const occasion = { kind: 'step_up', sessionId } as const;
            return this.settle(identity, judgeFactor(await this.proofs.prepare(proof, userId, occasion, client)));
          });
    return this.sessions.sign(grant);
  }

  private async settle(identity: Identity, judge: Judge): Promise<AccessGrant> {
    const outcome = await this.turns.run(identity.userId, () =>
      this.database.settle((isRetry) =>
        this.database.transaction((transaction) => this.record(transaction, identity, judge, isRetry)),
      ),
    );
    if (outcome instanceof DomainError) {
      throw outcome;
    }
    return outcome;
  }

  /** The proof is used up in the transaction that records it, and only there. */
  private async record(
    transaction: Transaction,
    { userId, sessionId, roles }: Identity,
    judge: Judge,
    isRetry: boolean,
  ): Promise<AccessGrant | DomainError> {
    const user = await this.users.lockUser(transaction, userId);
    if (user?.status !== 'active') {
      return user === undefined
        ? new AccessTokenRevokedError('the account has been deleted')
        : new AccountDisabledError();
    }
    const judged = await judge(transaction, user);
    if (judged instanceof DomainError) {
      return isRetry ? new OutcomeUnknownError('the attempt whose answer was lost may have used the proof up') : judged;
    }
    const granted = { id: userId, roles: user.roles.filter((role) => roles.includes(role)) };
    const grant = await this.tokens.stepUp(transaction, granted, sessionId, judged.methods);
    if (grant === undefined) {
      return new AccessTokenRevokedError('the session ended before the step-up');
    }
    await judged.accept();
    return grant;
  }

  /** Verifies the password outside the transaction, because that hashes; the row then says whether it still counts. */
  private async judgePassword(identity: Identity, password: string, client: Client): Promise<Judge> {
    const { credentialVersion } = await this.users.verifyOwnPassword(identity, password, client);
    return (_transaction, user) => {
      if (user.credentialVersion !== credentialVersion) {
        return new InvalidCredentialsError('the credentials changed while they were being checked');
      }
      return user.secondFactors.length === 0
        ? { methods: ['pwd'], accept: () => Promise.resolve() }
        : new SecondFactorRequiredError(user.secondFactors);
    };
  }
}

function judgeFactor(prepared: PreparedProof): Judge {
  return async (transaction, user) => {
    const judged = await prepared.judge(transaction, user);
    return judged.isProven ? judged : new SecondFactorInvalidError();
  };
}
