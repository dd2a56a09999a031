import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { AccountDisabledError, NotFoundError, TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { type ServerKey, ServerKeys } from '../platform/common/server-keys.js';
import { isCanonicalUuid } from '../platform/common/uuid.js';
import { Config } from '../platform/config/config.js';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import {
  FamiliesRepository,
  type Presentation,
  type RotatedFamily,
  type RotationOutcome,
} from './families.repository.js';
import {
  decodeRefreshToken,
  digestRetryKey,
  encodeRefreshToken,
  hashFamilySecret,
  hashRetryKey,
  type RefreshTokenParts,
} from './refresh-token.codec.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import { RotationQueueService } from './rotation-queue.service.js';
import {
  IdempotencyKeyReusedError,
  RefreshTokenInvalidError,
  RefreshTokenReusedError,
  RolesNotGrantedError,
  SessionExpiredError,
  SessionRevokedError,
} from './tokens.errors.js';
import type {
  AccessGrant,
  AuthenticationMethod,
  ClientInfo,
  EndedSessions,
  NewFamily,
  RefreshRequest,
  RevokeReason,
  Session,
  SessionGrant,
  SessionsToSpare,
} from './tokens.types.js';

/**
 * A refresh that has waited this long is dropped before its statement is sent: its client may have given up and moved
 * on, and the late duplicate would look like a theft.
 */
const LONGEST_WAIT_BEFORE_ROTATION_MS = 5_000;

/** After these the session's access tokens are to be refused too. */
const HAS_ENDED: ReadonlySet<RotationOutcome['kind']> = new Set([
  'reused',
  'rolled_back',
  'ended',
  'ended_by_reuse',
  'ended_by_disabling',
]);

const FAMILY_SECRET_BYTES = 16;
const INTERNAL_RETRY_KEY_BYTES = 16;

/** Makes, rotates and ends refresh-token families; knows users by their id only. */
@Injectable()
export class TokensService {
  private readonly logger = new Logger(TokensService.name);
  private observeOutcome: (outcome: RotationOutcome['kind']) => void = () => undefined;

  constructor(
    private readonly families: FamiliesRepository,
    private readonly rotations: RotationQueueService,
    private readonly revoked: RevokedSessionsService,
    private readonly database: DatabaseService,
    private readonly keys: ServerKeys,
    private readonly clock: Clock,
    private readonly config: Config,
  ) {}

  /** Calls `observe` with the outcome of each refresh that the database has decided; for metrics. */
  observeRefreshes(observe: (outcome: RotationOutcome['kind']) => void): void {
    this.observeOutcome = observe;
  }

  /**
   * Names a family of this user. Its id begins with the first byte of the user's, so that sessions can be divided by
   * user one day without a look-up; the other 114 bits are random, and the secret is separate.
   */
  newFamily(userId: string): NewFamily {
    return { id: userId.slice(0, 2) + randomUUID().slice(2), secret: randomBytes(FAMILY_SECRET_BYTES) };
  }

  /**
   * Opens a session inside the caller's transaction, which holds the lock on the user's row and has checked the user's
   * status and credential version under it. Idempotent per `family`. Only `SignInsService` calls it, because every way to a
   * session has to pass there.
   *
   * @param amr how the user has just proved who they are
   * @returns the grant, and the sessions that the limit ended; the caller passes them to `announceEnded` after its
   *   commit
   */
  async createFamily(
    transaction: Transaction,
    family: NewFamily,
    user: { readonly id: string; readonly roles: readonly string[] },
    amr: readonly AuthenticationMethod[],
    client: ClientInfo,
  ): Promise<{ readonly grant: SessionGrant; readonly evictedIds: readonly string[] }> {
    const key = this.keys.current;
    const { times, evictedIds } = await this.families.createFamily(transaction, {
      id: family.id,
      userId: user.id,
      secretHash: hashFamilySecret(family.secret),
      keyId: key.id,
      amr,
      client,
    });
    const parts = { keyId: key.id, familyId: family.id, familySecret: family.secret, generation: 1 };
    return { grant: this.grantOf(parts, key, { userId: user.id, roles: user.roles, amr, times }), evictedIds };
  }

  /**
   * Records on a session that its user has just proved more: `amr` becomes the union, and `auth_time` now. No token is
   * exchanged and the end of the session stays. Runs in the caller's transaction, which holds the lock on the user's row and
   * has checked the user's status under it. A retry moves `auth_time` again, and nothing else.
   *
   * @param user the roles are those that the access token is to carry
   * @param methods what has just been proved, without what the session has proved before
   * @returns what an access token of the session is made from; undefined when the session has ended
   */
  async stepUp(
    transaction: Transaction,
    user: { readonly id: string; readonly roles: readonly string[] },
    sessionId: string,
    methods: readonly AuthenticationMethod[],
  ): Promise<AccessGrant | undefined> {
    const proved = { familyId: sessionId, userId: user.id, amr: methods };
    const family = await this.families.stepUpFamily(transaction, proved);
    return family && accessGrantOf(sessionId, { userId: user.id, roles: user.roles, ...family });
  }

  /**
   * Exchanges a refresh token for its successor, at most once. `docs/rotation.md` has the table of outcomes. An outcome
   * that is lost with the connection is settled before this returns: the statement is retried with the same keys, and
   * the retry of a rotation that did commit is a replay.
   *
   * @param presented what `identify` has read
   * @throws RefreshTokenInvalidError, RefreshTokenReusedError, SessionRevokedError, SessionExpiredError,
   *   AccountDisabledError, IdempotencyKeyReusedError, RolesNotGrantedError
   * @throws OverloadedError, TemporarilyUnavailableError nothing was done
   * @throws OutcomeUnknownError the database did not come back in time
   */
  async refresh(presented: RefreshTokenParts, request: RefreshRequest): Promise<SessionGrant> {
    const receivedAtMs = this.clock.monotonicMs();
    const presentation = presentationOf(presented, request);
    const outcome = await this.database.settle((isRetry) =>
      this.rotations.rotate(
        presentation,
        () => {
          // `settle` bounds the retries.
          const isTooLate = !isRetry && this.clock.monotonicMs() - receivedAtMs > LONGEST_WAIT_BEFORE_ROTATION_MS;
          return !isTooLate && !request.isAbandoned();
        },
        isRetry,
      ),
    );
    return this.concludeRefresh(outcome, presented, request);
  }

  /**
   * Reads an authentic token without asking the database.
   *
   * @throws RefreshTokenInvalidError
   */
  identify(refreshToken: string): RefreshTokenParts {
    const parts = decodeRefreshToken(refreshToken, (keyId) => this.keys.find(keyId)?.refreshTokenMacKey);
    if (parts === undefined) {
      throw new RefreshTokenInvalidError('shape or tag');
    }
    return parts;
  }

  /**
   * Ends the session that an authentic token of any generation belongs to. An ended, expired or deleted one is a
   * success.
   *
   * @throws RefreshTokenInvalidError when the secret is wrong, which means that the server key has leaked
   */
  async endSessionByToken(parts: RefreshTokenParts, reason: RevokeReason): Promise<void> {
    const isSecretRight = await this.database.settle(() =>
      this.families.endFamilyBySecret(parts.familyId, hashFamilySecret(parts.familySecret), reason),
    );
    if (isSecretRight === false) {
      this.raiseForgeryAlarm(parts);
      throw new RefreshTokenInvalidError('authentic tag with a wrong secret');
    }
    this.revoked.announce([parts.familyId]);
  }

  /** Ends the session of a verified access token. One that has ended or been cleaned up is a success. */
  async endSessionByIdentity(userId: string, sessionId: string, reason: RevokeReason): Promise<void> {
    await this.database.settle(() => this.families.endFamilyOfUser(userId, sessionId, reason));
    this.revoked.announce([sessionId]);
  }

  /** @throws NotFoundError when the user never had this session */
  async endSessionOfUser(userId: string, sessionId: string, reason: RevokeReason): Promise<void> {
    // The client wrote it: Postgres accepts several spellings of a UUID, and the feed has the canonical one only.
    const familyId = sessionId.toLowerCase();
    const isOwn =
      isCanonicalUuid(familyId) &&
      (await this.database.settle(() => this.families.endFamilyOfUser(userId, familyId, reason)));
    if (!isOwn) {
      throw new NotFoundError('the user has no such session');
    }
    this.revoked.announce([familyId]);
  }

  /**
   * Ends every session of a user inside the caller's transaction, which holds the lock on the user's row. The caller
   * passes `allEndedIds` to `announceEnded` after its commit.
   */
  endSessionsOfUser(
    transaction: Transaction,
    userId: string,
    reason: RevokeReason,
    spare?: SessionsToSpare,
  ): Promise<EndedSessions> {
    return this.families.endFamiliesOfUser(transaction, userId, reason, spare);
  }

  /** Whether `endSessionsOfUser` would end any session, and those that have ended. Locks nothing. */
  findSessionsToEnd(
    userId: string,
    askedBySessionId: string,
  ): Promise<Pick<EndedSessions, 'allEndedIds'> & { readonly hasLive: boolean }> {
    return this.families.findFamiliesToEnd(userId, askedBySessionId);
  }

  /** Call it after the commit and before the answer: from then on this instance refuses the sessions' tokens. */
  announceEnded(sessionIds: Iterable<string>): void {
    this.revoked.announce(sessionIds);
  }

  listSessions(userId: string): Promise<readonly Session[]> {
    return this.families.listLiveSessions(userId);
  }

  private concludeRefresh(
    outcome: RotationOutcome,
    presented: RefreshTokenParts,
    { client, requestedRoles }: RefreshRequest,
  ): SessionGrant {
    const sessionId = presented.familyId;
    this.observeOutcome(outcome.kind);
    if (HAS_ENDED.has(outcome.kind)) {
      // Also one that ended before: by an attempt whose answer was lost, or on an instance that this one lags behind.
      this.revoked.announce([sessionId]);
    }
    switch (outcome.kind) {
      case 'unknown_family':
      case 'expired':
        throw new SessionExpiredError();
      case 'forged':
        this.raiseForgeryAlarm(presented);
        throw new RefreshTokenInvalidError('authentic tag with a wrong secret or an impossible generation');
      case 'ended_by_reuse':
        throw new RefreshTokenReusedError('a reuse has ended the session before');
      case 'ended_by_disabling':
      case 'user_not_active':
        throw new AccountDisabledError();
      case 'ended':
        throw new SessionRevokedError();
      case 'key_reused':
        throw new IdempotencyKeyReusedError();
      case 'roles_not_granted':
        throw new RolesNotGrantedError();
      case 'reused':
        this.logger.warn({
          event: 'refresh_token_reused',
          msg: 'a used refresh token was presented again; its session has been ended',
          sid: sessionId,
          userId: outcome.userId,
          presentedGeneration: presented.generation,
          currentGeneration: outcome.generation,
          ipAddress: client.ipAddress,
          lastIpAddress: outcome.lastIpAddress,
        });
        throw new RefreshTokenReusedError();
      case 'rolled_back':
        this.reportLostCommits(presented, 'the session was ended (REFRESH_ROLL_FORWARD=off)');
        throw new SessionRevokedError();
      case 'rolled_forward':
        this.reportLostCommits(presented, 'the session goes on from the presented token');
        return this.grantSuccessor(outcome, presented, requestedRoles);
      case 'replayed':
        if (outcome.lastIpAddress !== client.ipAddress) {
          this.logger.warn({
            event: 'refresh_replayed_from_another_address',
            msg: 'a refresh was repeated from another address',
            sid: sessionId,
            ipAddress: client.ipAddress,
            lastIpAddress: outcome.lastIpAddress,
          });
        }
        return this.grantSuccessor(outcome, presented, requestedRoles);
      case 'rotated':
        return this.grantSuccessor(outcome, presented, requestedRoles);
    }
  }

  /** Computes the successor from the family, its secret, the generation and the key; the database does not store it. */
  private grantSuccessor(
    family: RotatedFamily,
    presented: RefreshTokenParts,
    requestedRoles: readonly string[] | undefined,
  ): SessionGrant {
    const key = this.keys.find(family.keyId);
    if (key === undefined) {
      this.logger.error({
        event: 'server_key_missing',
        msg: 'a successor was minted under a secret that AUTH_SECRET_ACCEPTED of this instance lacks',
        keyId: family.keyId,
        sid: presented.familyId,
      });
      throw new TemporarilyUnavailableError('the successor was minted under a secret that this instance lacks');
    }
    const { familyId, familySecret } = presented;
    const successor = { keyId: family.keyId, familyId, familySecret, generation: family.generation };
    const roles = family.roles.filter((role) => requestedRoles?.includes(role) ?? true);
    return this.grantOf(successor, key, { ...family, roles });
  }

  private grantOf(
    parts: RefreshTokenParts,
    key: ServerKey,
    family: Pick<RotatedFamily, 'userId' | 'roles' | 'amr' | 'times'>,
  ): SessionGrant {
    const { nowSeconds, rotatedAtSeconds, expiresAtSeconds } = family.times;
    const unusableAtSeconds = Math.min(rotatedAtSeconds + this.config.refreshTokens.idleTtlSeconds, expiresAtSeconds);
    return {
      refreshToken: encodeRefreshToken(parts, key.refreshTokenMacKey),
      refreshExpiresInSeconds: Math.max(0, Math.floor(unusableAtSeconds - nowSeconds)),
      ...accessGrantOf(parts.familyId, family),
    };
  }

  private raiseForgeryAlarm(presented: RefreshTokenParts): void {
    this.logger.error({
      event: 'refresh_token_forged',
      alarm: 'A refresh token has a valid tag but is not of this family: AUTH_SECRET has leaked. Replace it.',
      sid: presented.familyId,
      presentedGeneration: presented.generation,
    });
  }

  private reportLostCommits(presented: RefreshTokenParts, consequence: string): void {
    this.logger.error({
      event: 'acknowledged_commits_lost',
      alarm: `acknowledged commits were lost, revocations may be too; ${consequence}`,
      sid: presented.familyId,
      presentedGeneration: presented.generation,
    });
  }
}

function accessGrantOf(
  sessionId: string,
  { userId, roles, amr, times }: Pick<RotatedFamily, 'userId' | 'roles' | 'amr' | 'times'>,
): AccessGrant {
  return {
    sessionId,
    userId,
    roles,
    amr,
    authenticatedAtSeconds: Math.floor(times.authenticatedAtSeconds),
    issuedAtSeconds: Math.floor(times.nowSeconds),
    sessionExpiresAtSeconds: Math.floor(times.expiresAtSeconds),
  };
}

/** Takes a random key if the client sent none, so that the retries inside `settle` repeat one rotation. */
function presentationOf(
  presented: RefreshTokenParts,
  { idempotencyKey, requestedRoles, client }: RefreshRequest,
): Presentation {
  const { familyId, familySecret, generation } = presented;
  const retryKey = idempotencyKey ?? randomBytes(INTERNAL_RETRY_KEY_BYTES).toString('base64url');
  return {
    familyId,
    secretHash: hashFamilySecret(familySecret),
    generation,
    retryKeyHash: hashRetryKey(presented, generation, retryKey),
    retryKeyDigest: digestRetryKey(presented, retryKey),
    isKeyFromClient: idempotencyKey !== undefined,
    requestedRoles,
    client,
  };
}
