import { Check, Column, type ColumnType, Entity, Index, PrimaryColumn } from 'typeorm';

/** One row per login, however often it is refreshed: a rotation updates the row in place. */
@Entity('refresh_token_families')
@Check('refresh_token_families_revocation_check', 'num_nulls(revoked_at, revoked_xid, revoke_reason) in (0, 3)')
@Index('refresh_token_families_user_id_revoked_at_idx', ['userId', 'revokedAt'])
@Index('refresh_token_families_expires_at_idx', ['expiresAt'])
@Index('refresh_token_families_revoked_at_idx', ['revokedAt'], { where: 'revoked_at is not null' })
@Index('refresh_token_families_revoked_xid_idx', ['revokedXid'], { where: 'revoked_xid is not null' })
export class RefreshTokenFamilyEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'refresh_token_families_pkey' })
  id!: string;

  @Column('uuid', { name: 'user_id' })
  userId!: string;

  @Column('bytea', { name: 'secret_hash', select: false })
  secretHash!: Buffer;

  @Column('integer')
  generation!: number;

  @Column('smallint', { name: 'key_id' })
  keyId!: number;

  @Column('timestamptz', { name: 'rotated_at' })
  rotatedAt!: Date;

  @Column('bytea', { name: 'retry_key_hash', nullable: true, select: false })
  retryKeyHash!: Buffer | null;

  @Column('boolean', { name: 'retry_key_from_client', default: false })
  retryKeyFromClient!: boolean;

  @Column('bytea', { name: 'retry_key_history', default: () => `'\\x${'00'.repeat(96)}'`, select: false })
  retryKeyHistory!: Buffer;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;

  /** How the user proved who they are (RFC 8176); empty for a session that an earlier version opened. */
  @Column('text', { array: true, default: '{}' })
  amr!: string[];

  /** When the user last did; null while that is when the session was opened. */
  @Column('timestamptz', { name: 'auth_time', nullable: true })
  authTime!: Date | null;

  @Column('text', { name: 'user_agent', nullable: true })
  userAgent!: string | null;

  @Column('inet', { name: 'ip_address', nullable: true })
  ipAddress!: string | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt!: Date | null;

  @Column({ type: 'xid8' as ColumnType, name: 'revoked_xid', nullable: true })
  revokedXid!: string | null;

  @Column('text', { name: 'revoke_reason', nullable: true })
  revokeReason!: string | null;
}
