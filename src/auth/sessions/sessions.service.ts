import { Injectable } from '@nestjs/common';
import { AccountDisabledError, afterCommit } from '../../platform/common/domain.errors.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { RefusedTokenLimiterService } from '../../limits/refused-token-limiter.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { AccessGrant, RefreshRequest, Session, SessionGrant } from '../../tokens/tokens.types.js';
import { InvalidCredentialsError } from '../../users/users.errors.js';
import { UsersService } from '../../users/users.service.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import type { Client, Identity, TokenPair } from '../auth.types.js';
import { UserTurnsService } from '../user-turns.service.js';
import { type SignInOutcome, SignInsService } from './sign-ins.service.js';

/** Opens, continues, lists and ends the sessions of users who act for themselves. */
@Injectable()
export class SessionsService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly signIns: SignInsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly refusedTokenLimiter: RefusedTokenLimiterService,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
  ) {}

  /**
   * Opens a new session with every login and never continues one that the client names.
   *
   * @throws InvalidCredentialsError, AccountDisabledError, SecondFactorRequiredError, TooManyAttemptsError, OverloadedError
   */
  async login(email: string, password: string, client: Client): Promise<TokenPair> {
    this.issuer.requireKey();
    const { user, credentialVersion } = await this.users.verifyCredentials(email, password, client);
    const signIn = this.signIns.newSignIn(user.id);
    const outcome = await this.turns.run(user.id, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          // The password was verified outside the transaction; under the lock, check that neither it nor the account
          // changed. Disabling changes both.
          const locked = await this.users.lockUser(transaction, user.id);
          if (locked?.status === 'disabled') {
            return 'account_disabled';
          }
          return locked?.credentialVersion === credentialVersion
            ? this.signIns.open(transaction, locked, ['pwd'], { ...signIn, client })
            : 'credentials_changed';
        }),
      ),
    );
    if (outcome === 'credentials_changed') {
      throw new InvalidCredentialsError('the credentials changed while they were being checked');
    }
    if (outcome === 'account_disabled') {
      throw new AccountDisabledError('the account was disabled while the credentials were being checked');
    }
    return this.conclude(outcome, client);
  }

  /**
   * Concludes a sign-in after its commit.
   *
   * @throws SecondFactorRequiredError
   */
  async conclude(outcome: SignInOutcome, client: Client): Promise<TokenPair> {
    const { grant, evictedIds } = this.signIns.requireOpened(outcome);
    this.tokens.announceEnded(evictedIds);
    client.noteSession(grant);
    return this.tokenPair(grant);
  }

  /** @throws TooManyAttemptsError, and the errors of `TokensService.identify` and `TokensService.refresh` */
  async refresh(refreshToken: string, request: RefreshRequest & { readonly client: Client }): Promise<TokenPair> {
    this.issuer.requireKey();
    const presented = await this.identify(refreshToken, request.client);
    const grant = await this.tokens.refresh(presented, request);
    request.client.noteSession(grant);
    return this.tokenPair(grant);
  }

  /**
   * Ends the session of each credential that was sent. Both are read before either is acted upon.
   *
   * @throws RefreshTokenInvalidError, TooManyAttemptsError
   */
  async logout(refreshToken: string | undefined, identity: Identity | undefined, client: Client): Promise<void> {
    const presented = refreshToken === undefined ? undefined : await this.identify(refreshToken, client);
    if (identity !== undefined) {
      client.noteSession(identity);
    }
    if (presented !== undefined) {
      await this.tokens.endSessionByToken(presented, 'logout');
    }
    if (identity !== undefined && identity.sessionId !== presented?.familyId) {
      try {
        await this.tokens.endSessionByIdentity(identity.userId, identity.sessionId, 'logout');
      } catch (error) {
        throw presented === undefined ? error : afterCommit(error);
      }
    }
  }

  /**
   * Ends every session of the user. The access token of a session that has ended itself, perhaps because it was stolen,
   * ends only those that were opened before that. Concurrent calls share their work, and where nothing is to end, no row
   * is locked.
   */
  async logoutAll({ userId, sessionId }: Identity): Promise<void> {
    await this.turns.share(`${userId} ${sessionId}`, userId, async () => {
      // A login that commits after this statement has begun counts as a later one.
      const found = await this.tokens.findSessionsToEnd(userId, sessionId);
      const { allEndedIds } = found.hasLive
        ? await this.database.settle(() =>
            this.database.transaction(async (transaction) => {
              await this.users.lockUser(transaction, userId);
              return this.tokens.endSessionsOfUser(transaction, userId, 'logout_all', { askedBySessionId: sessionId });
            }),
          )
        : found;
      this.tokens.announceEnded(allEndedIds);
    });
  }

  list(userId: string): Promise<readonly Session[]> {
    return this.tokens.listSessions(userId);
  }

  /** @throws NotFoundError when the user never had this session */
  async end(userId: string, sessionId: string): Promise<void> {
    await this.tokens.endSessionOfUser(userId, sessionId, 'session_ended');
  }

  private async identify(refreshToken: string, client: Client): Promise<ReturnType<TokensService['identify']>> {
    const presented = await this.refusedTokenLimiter.limitRefusals(client.networks[0], () =>
      this.tokens.identify(refreshToken),
    );
    client.noteSession({ sessionId: presented.familyId });
    return presented;
  }

  /**
   * Returns what a client gets for a session that has just been opened or continued.
   *
   * @throws OutcomeUnknownError when this instance has lost its signing key since `requireKey`
   */
  async tokenPair(grant: SessionGrant): Promise<TokenPair> {
    return {
      ...(await this.sign(grant)),
      refreshToken: grant.refreshToken,
      refreshExpiresInSeconds: grant.refreshExpiresInSeconds,
      roles: grant.roles,
    };
  }

  /**
   * Signs an access token for a session that a commit has just changed.
   *
   * @throws OutcomeUnknownError when this instance has lost its signing key since `requireKey`
   */
  async sign(grant: AccessGrant): ReturnType<AccessTokenIssuer['issue']> {
    try {
      return await this.issuer.issue(grant);
    } catch (error) {
      throw afterCommit(error);
    }
  }
}
