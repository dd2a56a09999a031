import { Injectable } from '@nestjs/common';
import { ServerKeys } from '../platform/common/server-keys.js';
import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { Config } from '../platform/config/config.js';
import {
  type Connection,
  DatabaseService,
  type PreparedStatement,
  type Transaction,
} from '../platform/database/database.service.js';
import { OPEN_FAMILY, type OpeningRow } from './opening.statement.js';
import { NOTIFY_REVOCATION, revocation } from './revocation.fragments.js';
import { ROTATE_FAMILY, ROTATE_FREE_FAMILIES, type RotationRow, type RotationVerdict } from './rotation.statement.js';
import { STEP_UP_FAMILY, type StepUpRow } from './step-up.statement.js';
import type { ClientInfo, EndedSessions, RevokeReason, Session, SessionsToSpare } from './tokens.types.js';

export interface Presentation {
  readonly familyId: string;
  readonly secretHash: Buffer;
  readonly generation: number;
  /** Hash of this refresh's key, the client's or an internal one, at the presented generation. */
  readonly retryKeyHash: Buffer;
  /** Digest of the same key, whatever the generation. */
  readonly retryKeyDigest: Buffer;
  readonly isKeyFromClient: boolean;
  /** Undefined for all of the user's. */
  readonly requestedRoles: readonly string[] | undefined;
  readonly client: ClientInfo;
}

export type RotationOutcome =
  { readonly kind: 'unknown_family' } | ({ readonly kind: RotationVerdict } & RotatedFamily);

export interface RotatedFamily {
  readonly userId: string;
  readonly roles: readonly string[];
  readonly amr: readonly string[];
  /** The generation and the server key id of the current token. */
  readonly generation: number;
  readonly keyId: number;
  readonly times: FamilyTimes;
  /** The client address of the previous rotation. */
  readonly lastIpAddress: string | undefined;
}

/** The database's clock, in seconds since the epoch with fractions. */
export interface FamilyTimes {
  readonly nowSeconds: number;
  readonly rotatedAtSeconds: number;
  readonly expiresAtSeconds: number;
  readonly authenticatedAtSeconds: number;
}

/** Holds the only SQL on `refresh_token_families`. */
@Injectable()
export class FamiliesRepository {
  constructor(
    private readonly database: DatabaseService,
    private readonly serverKeys: ServerKeys,
    private readonly config: Config,
  ) {}

  /** Decides one presentation; waits for a transaction that holds its family. */
  async rotateFamily(connection: Connection, presentation: Presentation): Promise<RotationOutcome> {
    const [row] = await connection.queryPrepared<RotationRow>(ROTATE_FAMILY, this.rotationValues([presentation]));
    return row === undefined ? { kind: 'unknown_family' } : outcomeOf(row);
  }

  /**
   * Decides presentations of different families in one commit, and never waits for a lock.
   *
   * @returns outcomes by family id; families that another transaction holds, or that do not exist, are absent
   */
  async rotateFreeFamilies(
    connection: Connection,
    presentations: readonly Presentation[],
  ): Promise<ReadonlyMap<string, RotationOutcome>> {
    const values = this.rotationValues(presentations);
    const rows = await connection.queryPrepared<RotationRow>(ROTATE_FREE_FAMILIES, values);
    return new Map(rows.map((row) => [row.id, outcomeOf(row)]));
  }

  /**
   * Creates a family unless an earlier attempt of unknown outcome has created it already. The caller holds the lock on
   * the user's row, so the number of live families cannot change in between.
   *
   * @returns the new family's times and the ids of the sessions that were ended to make room for it
   */
  async createFamily(
    transaction: Transaction,
    family: {
      readonly id: string;
      readonly userId: string;
      readonly secretHash: Buffer;
      readonly keyId: number;
      readonly amr: readonly string[];
      readonly client: ClientInfo;
    },
  ): Promise<{ readonly times: FamilyTimes; readonly evictedIds: readonly string[] }> {
    const { ttlSeconds, idleTtlSeconds, maxSessionsPerUser } = this.config.refreshTokens;
    const [opened] = await transaction.queryPrepared<OpeningRow>(OPEN_FAMILY, [
      family.id,
      family.userId,
      family.secretHash,
      family.keyId,
      ttlSeconds,
      family.client.ipAddress,
      family.client.userAgent,
      idleTtlSeconds,
      maxSessionsPerUser - 1,
      family.amr,
    ]);
    if (opened === undefined) {
      throw new Error('an insert returned no row');
    }
    return { times: familyTimesOf(opened), evictedIds: opened.evicted_ids };
  }

  /**
   * Records on a live family that its user has just proved more. The caller holds the lock on the user's row.
   *
   * @returns all that the family's user has proved, and the times; undefined when the user has no such live family
   */
  async stepUpFamily(
    transaction: Transaction,
    { familyId, userId, amr }: { readonly familyId: string; readonly userId: string; readonly amr: readonly string[] },
  ): Promise<{ readonly amr: readonly string[]; readonly times: FamilyTimes } | undefined> {
    const values = [familyId, userId, amr, this.config.refreshTokens.idleTtlSeconds];
    const [row] = await transaction.queryPrepared<StepUpRow>(STEP_UP_FAMILY, values);
    return row && { amr: row.amr, times: familyTimesOf(row) };
  }

  /**
   * Ends one family if it is live and the secret is its own. Ends nothing twice, so the first reason stays. Waits for a
   * rotation in progress and then ends what it left.
   *
   * @returns whether the secret was right, whatever state the family was in; undefined when there is no such family
   */
  async endFamilyBySecret(familyId: string, secretHash: Buffer, reason: RevokeReason): Promise<boolean | undefined> {
    const [row] = await this.database.query<{ is_secret_right: boolean }>(
      `with ended as (
         update refresh_token_families
         set ${revocation('$3')}
         where id = $1 and secret_hash = $2 and revoked_at is null
         returning ${NOTIFY_REVOCATION}
       )
       select secret_hash = $2 as is_secret_right from refresh_token_families where id = $1`,
      [familyId, secretHash, reason],
    );
    return row?.is_secret_right;
  }

  /** @returns whether the user has, or had, a session of this id; one that has already ended stays as it is */
  async endFamilyOfUser(userId: string, familyId: string, reason: RevokeReason): Promise<boolean> {
    const rows = await this.database.query(
      `with ended as (
         update refresh_token_families
         set ${revocation('$3')}
         where id = $1 and user_id = $2 and revoked_at is null
         returning ${NOTIFY_REVOCATION}
       )
       select id from refresh_token_families where id = $1 and user_id = $2`,
      [familyId, userId, reason],
    );
    return rows.length > 0;
  }

  /**
   * Ends every live family of a user. The caller holds the lock on the user's row, taken in an earlier statement: this
   * one's snapshot then holds every family that a login could have created, and none can be created until the commit.
   *
   * The second statement also sees what others have ended meanwhile without that lock, one session at a time.
   */
  async endFamiliesOfUser(
    transaction: Transaction,
    userId: string,
    reason: RevokeReason,
    { exceptId, askedBySessionId }: SessionsToSpare = {},
  ): Promise<EndedSessions> {
    const ended = await transaction.query<{ id: string }>(
      `update refresh_token_families
       set ${revocation('$2')}
       where user_id = $1 and revoked_at is null and id is distinct from $3
         and ${openedBeforeEndOf('$4')}
       returning id, ${NOTIFY_REVOCATION}`,
      [userId, reason, exceptId, askedBySessionId],
    );
    const known = await transaction.query<{ id: string }>(
      `select id from refresh_token_families
       where user_id = $1 and revoked_at > clock_timestamp() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})`,
      [userId],
    );
    return { endedIds: ended.map(({ id }) => id), allEndedIds: known.map(({ id }) => id) };
  }

  /** Finds what `endFamiliesOfUser` would end or return. Locks nothing. */
  async findFamiliesToEnd(
    userId: string,
    askedBySessionId: string,
  ): Promise<Pick<EndedSessions, 'allEndedIds'> & { readonly hasLive: boolean }> {
    const rows = await this.database.queryPrepared<{ id: string; is_live: boolean }>(FIND_FAMILIES_TO_END, [
      userId,
      askedBySessionId,
    ]);
    return {
      hasLive: rows.some((row) => row.is_live),
      allEndedIds: rows.filter((row) => !row.is_live).map(({ id }) => id),
    };
  }

  /** Lists the sessions of a user that a refresh could still continue, the last used first. */
  async listLiveSessions(userId: string): Promise<readonly Session[]> {
    const rows = await this.database.query<SessionRow>(
      `select id, created_at, rotated_at, expires_at, host(ip_address) as ip_address, user_agent
       from refresh_token_families
       where user_id = $1 and revoked_at is null
         and expires_at > now() and rotated_at > now() - make_interval(secs => $2)
       order by rotated_at desc`,
      [userId, this.config.refreshTokens.idleTtlSeconds],
    );
    return rows.map((row) => ({
      id: row.id,
      createdAt: row.created_at,
      lastUsedAt: row.rotated_at,
      expiresAt: row.expires_at,
      ipAddress: row.ip_address ?? undefined,
      userAgent: row.user_agent ?? undefined,
    }));
  }

  /**
   * Deletes families whose last access token has long expired. A row locked by another transaction is left for the next
   * run, so the job never waits and never makes a request wait for more than one small batch.
   *
   * @returns how many were deleted
   */
  async deleteTombstones(transaction: Transaction, batchSize: number): Promise<number> {
    const rows = await transaction.query(
      `with expired as materialized (
         select id from refresh_token_families
         where expires_at < now() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})
         order by expires_at
         limit $1
         for update skip locked
       )
       delete from refresh_token_families using expired
       where refresh_token_families.id = expired.id
       returning 1`,
      [batchSize],
    );
    return rows.length;
  }

  private rotationValues(presentations: readonly Presentation[]): readonly unknown[] {
    const { idleTtlSeconds, graceSeconds, rollForward } = this.config.refreshTokens;
    return [
      presentations.map(({ familyId }) => familyId),
      presentations.map(({ secretHash }) => secretHash),
      presentations.map(({ generation }) => generation),
      presentations.map(({ retryKeyHash }) => retryKeyHash),
      presentations.map(({ retryKeyDigest }) => retryKeyDigest),
      presentations.map(({ isKeyFromClient }) => isKeyFromClient),
      presentations.map(({ client }) => client.ipAddress ?? null),
      presentations.map(({ client }) => client.userAgent ?? null),
      this.serverKeys.current.id,
      idleTtlSeconds,
      graceSeconds,
      rollForward,
      presentations.map(({ requestedRoles }) => requestedRoles?.join(' ') ?? null),
    ];
  }
}

/** While the asking session lives, that is every family. */
function openedBeforeEndOf(askingId: string): string {
  return `created_at < coalesce(
    (select asking.revoked_at from refresh_token_families as asking where asking.id = ${askingId}), 'infinity')`;
}

const FIND_FAMILIES_TO_END: PreparedStatement = {
  name: 'find_families_to_end',
  text: `select id, revoked_at is null as is_live from refresh_token_families
    where user_id = $1 and (revoked_at > clock_timestamp() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})
      or revoked_at is null and ${openedBeforeEndOf('$2')})`,
};

interface SessionRow {
  readonly id: string;
  readonly created_at: Date;
  readonly rotated_at: Date;
  readonly expires_at: Date;
  readonly ip_address: string | null;
  readonly user_agent: string | null;
}

function outcomeOf(row: RotationRow): RotationOutcome {
  return {
    kind: row.verdict,
    userId: row.user_id,
    roles: row.roles,
    amr: row.amr,
    generation: row.generation,
    keyId: row.key_id,
    times: familyTimesOf(row),
    lastIpAddress: row.last_ip_address ?? undefined,
  };
}

interface FamilyTimesRow {
  readonly now_seconds: number;
  readonly rotated_at_seconds: number;
  readonly expires_at_seconds: number;
  readonly authenticated_at_seconds: number;
}

function familyTimesOf(row: FamilyTimesRow): FamilyTimes {
  return {
    nowSeconds: row.now_seconds,
    rotatedAtSeconds: row.rotated_at_seconds,
    expiresAtSeconds: row.expires_at_seconds,
    authenticatedAtSeconds: row.authenticated_at_seconds,
  };
}
