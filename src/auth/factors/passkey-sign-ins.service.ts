import { Injectable } from '@nestjs/common';
import { SecondFactorInvalidError } from '../../factors/factors.errors.js';
import { type PresentedAssertion, PasskeysService } from '../../factors/passkeys.service.js';
import type { AssertionCredential, RequestOptions } from '../../factors/passkeys.types.js';
import { CodeAttemptsService } from '../../limits/code-attempts.service.js';
import { PasskeyOptionsLimiterService } from '../../limits/passkey-options-limiter.service.js';
import { RefusedTokenLimiterService } from '../../limits/refused-token-limiter.service.js';
import { AccountDisabledError, NotFoundError } from '../../platform/common/domain.errors.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TicketInvalidError } from '../../tickets/tickets.errors.js';
import { TicketsService } from '../../tickets/tickets.service.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { AccessTokenRevokedError } from '../auth.errors.js';
import type { Client, Identity, TokenPair } from '../auth.types.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';
import { UserTurnsService } from '../user-turns.service.js';
import { PasskeyCeremoniesService } from './passkey-ceremonies.service.js';
import { readAssertion } from './passkey-credentials.js';
import { methodsOfPasskey } from './passkey-verifier.service.js';

/** What a browser needs to ask for a passkey. */
export interface BegunCeremony<Options> {
  /** A token of the form `wa1`. */
  readonly ticket: string;
  readonly options: Options;
}

/** Begins the ceremonies that use a passkey, and signs in by one that needs no password. */
@Injectable()
export class PasskeySignInsService {
  constructor(
    private readonly passkeys: PasskeysService,
    private readonly ceremonies: PasskeyCeremoniesService,
    private readonly tickets: TicketsService,
    private readonly users: UsersService,
    private readonly signIns: SignInsService,
    private readonly sessions: SessionsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly optionsLimiter: PasskeyOptionsLimiterService,
    private readonly refusedTokenLimiter: RefusedTokenLimiterService,
    private readonly attempts: CodeAttemptsService,
  ) {}

  /**
   * Begins a sign-in of nobody in particular: the passkey tells whose it is.
   *
   * @throws TooManyAttemptsError
   */
  async begin(client: Client): Promise<BegunCeremony<RequestOptions>> {
    await this.optionsLimiter.countRequest(client.networks[0]);
    const ticket = this.ceremonies.newTicket();
    await this.ceremonies.beginAnonymous(ticket);
    return {
      ticket: this.ceremonies.tokenOf(ticket),
      options: this.passkeys.requestOptions(this.ceremonies.challengeOf(ticket), [], 'required'),
    };
  }

  /**
   * Begins the second step of a sign-in.
   *
   * @param loginToken of the form `lg1`; it stays good
   * @throws TicketInvalidError, TooManyAttemptsError
   * @throws NotFoundError when its user has no passkey that can be used here
   */
  async beginSecondFactor(loginToken: string, client: Client): Promise<BegunCeremony<RequestOptions>> {
    await this.optionsLimiter.countRequest(client.networks[0]);
    const login = await this.refusedTokenLimiter.limitRefusals(client.networks[0], () =>
      this.tickets.identify('lg1', loginToken),
    );
    const { userId } = (await this.tickets.find(this.database, login)) ?? {};
    if (userId === undefined) {
      throw new TicketInvalidError('unknown');
    }
    return this.beginOfUser(
      userId,
      async (transaction, user) => {
        if (user?.status !== 'active' || !(await this.tickets.isGood(transaction, login, user))) {
          throw new TicketInvalidError('used, expired, exhausted or superseded');
        }
        return user;
      },
      { kind: 'second_factor', loginId: login.id },
    );
  }

  /**
   * Begins a step-up of a session.
   *
   * @throws AccountDisabledError, AccessTokenRevokedError
   * @throws NotFoundError when the user has no passkey that can be used here
   */
  async beginStepUp({ userId, sessionId }: Identity): Promise<BegunCeremony<RequestOptions>> {
    return this.beginOfUser(userId, (_transaction, user) => Promise.resolve(requireActive(user)), {
      kind: 'step_up',
      sessionId,
    });
  }

  /**
   * Opens a session for a passkey that has verified its user, which is two factors in one.
   *
   * @throws ValidationFailedError, TicketInvalidError, TooManyAttemptsError nothing was verified
   * @throws SecondFactorInvalidError also for an unknown passkey and a disabled account
   */
  async signIn(ticket: string, credential: Readonly<Record<string, unknown>>, client: Client): Promise<TokenPair> {
    this.issuer.requireKey();
    const assertion = readAssertion(credential);
    return this.attempts.countAnonymousAttempt(
      client.networks,
      () => this.redeem(ticket, assertion, client),
      (error) => error instanceof SecondFactorInvalidError,
    );
  }

  private async redeem(ticket: string, assertion: AssertionCredential, client: Client): Promise<TokenPair> {
    const { challenge } = await this.ceremonies.consume(ticket, { kind: 'sign_in' }, client);
    const verification = await this.passkeys.verifyAssertion(assertion, challenge, { isUserVerified: true });
    if (verification.kind === 'refused') {
      throw new SecondFactorInvalidError(verification.reason);
    }
    const presented: PresentedAssertion = verification.value;
    const { userId } = presented;
    const signIn = this.signIns.newSignIn(userId);
    const outcome = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          if (user?.status !== 'active') {
            return 'of no active account';
          }
          const { isRight, use } = await this.passkeys.judge(transaction, presented);
          if (!isRight) {
            return 'removed meanwhile, or its counter has not moved';
          }
          await use();
          return this.signIns.open(transaction, user, methodsOfPasskey(presented), { ...signIn, client });
        }),
      ),
    );
    if (typeof outcome === 'string') {
      throw new SecondFactorInvalidError(outcome);
    }
    return this.sessions.conclude(outcome, client);
  }

  private async beginOfUser(
    userId: string,
    require: (transaction: Transaction, user: LockedUser | undefined) => Promise<LockedUser>,
    occasion:
      | { readonly kind: 'second_factor'; readonly loginId: string }
      | { readonly kind: 'step_up'; readonly sessionId: string },
  ): Promise<BegunCeremony<RequestOptions>> {
    const ticket = this.ceremonies.newTicket();
    const usable = await this.turns.run(userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await require(transaction, await this.users.lockUser(transaction, userId));
          await this.ceremonies.begin(transaction, ticket, user, { ...occasion, userId });
          return this.passkeys.listUsable(transaction, userId);
        }),
      ),
    );
    if (usable.length === 0) {
      throw new NotFoundError('the user has no passkey that can be used here');
    }
    return {
      ticket: this.ceremonies.tokenOf(ticket),
      options: this.passkeys.requestOptions(
        this.ceremonies.challengeOf(ticket),
        usable,
        occasion.kind === 'step_up' ? 'required' : 'preferred',
      ),
    };
  }
}

function requireActive(user: LockedUser | undefined): LockedUser {
  if (user === undefined) {
    throw new AccessTokenRevokedError('the account has been deleted');
  }
  if (user.status === 'disabled') {
    throw new AccountDisabledError();
  }
  return user;
}
