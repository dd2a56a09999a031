import { deriveServerKey, type ServerKey } from '../../src/platform/common/server-keys.js';
import {
  decodeRefreshToken,
  encodeRefreshToken,
  type RefreshTokenParts,
} from '../../src/tokens/refresh-token.codec.js';
import type { RevokeReason } from '../../src/tokens/tokens.types.js';
import { ageSession } from './move-clock.js';
import type { TestDatabase } from './test-database.js';
import { AUTH_SECRET } from './test-service.js';

export interface FamilyRow {
  readonly generation: number;
  readonly key_id: number;
  readonly rotated_at: Date;
  readonly retry_key_hash: Buffer | null;
  readonly retry_key_from_client: boolean;
  readonly retry_key_history: Buffer;
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly revoked_at: Date | null;
  readonly revoke_reason: RevokeReason | null;
  /** The transaction that wrote this version of the row: the same means that nothing has touched it. */
  readonly version: string;
}

/** A session seen from both sides: every token that it has had or will have, and its row. */
export class TestFamily {
  readonly id: string;
  private readonly secret: Buffer;

  /** @param refreshToken any token of it, made with `authSecret` */
  constructor(
    private readonly database: Pick<TestDatabase, 'sql'>,
    refreshToken: string,
    authSecret = AUTH_SECRET,
  ) {
    const { familyId, familySecret } = readRefreshToken(refreshToken, authSecret);
    this.id = familyId;
    this.secret = familySecret;
  }

  /** The token of a generation, as the service minted it or will mint it. */
  token(generation: number, authSecret = AUTH_SECRET): string {
    return mintRefreshToken({ familyId: this.id, familySecret: this.secret, generation }, authSecret);
  }

  /** A token made by a thief of `AUTH_SECRET` who knows the id of the family, but none of its tokens. */
  forgedToken(generation: number): string {
    return mintRefreshToken({ familyId: this.id, familySecret: Buffer.alloc(16, 0xee), generation }, AUTH_SECRET);
  }

  async row(): Promise<FamilyRow> {
    const [row] = await this.database.sql<FamilyRow>(
      'select *, xmin::text as version from refresh_token_families where id = $1',
      [this.id],
    );
    if (row === undefined) {
      throw new Error('the family has no row');
    }
    return row;
  }

  age(bySeconds: number): Promise<void> {
    return ageSession(this.database, this.id, bySeconds);
  }

  /**
   * Puts the family where many rotations would have brought it: the number is all that they leave behind. Also what a
   * restored backup does to it, when the number is lower than before.
   */
  async setGeneration(generation: number): Promise<void> {
    await this.database.sql('update refresh_token_families set generation = $2 where id = $1', [this.id, generation]);
  }

  /** Ends it as the service would, without the service. */
  async end(reason: RevokeReason): Promise<void> {
    await this.database.sql(
      `update refresh_token_families
       set revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id(), revoke_reason = $2 where id = $1`,
      [this.id, reason],
    );
  }
}

export function readRefreshToken(token: string, authSecret = AUTH_SECRET): RefreshTokenParts {
  const key = serverKeyOf(authSecret);
  const parts = decodeRefreshToken(token, (keyId) => (keyId === key.id ? key.refreshTokenMacKey : undefined));
  if (parts === undefined) {
    throw new Error('not a refresh token of this secret');
  }
  return parts;
}

/** @param parts of any content, also such as no service would put into a token */
export function mintRefreshToken(parts: Omit<RefreshTokenParts, 'keyId'>, authSecret: string): string {
  const key = serverKeyOf(authSecret);
  return encodeRefreshToken({ ...parts, keyId: key.id }, key.refreshTokenMacKey);
}

export function serverKeyOf(authSecret: string): ServerKey {
  return deriveServerKey(Buffer.from(authSecret));
}
