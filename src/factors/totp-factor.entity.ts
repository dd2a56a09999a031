import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** The authenticator app of a user, one at most, and beside it one that may replace it once it is confirmed. */
@Entity('totp_factors')
@Index('totp_factors_confirmed_key', ['userId'], { unique: true, where: 'confirmed_at is not null' })
@Index('totp_factors_unconfirmed_key', ['userId'], { unique: true, where: 'confirmed_at is null' })
export class TotpFactorEntity {
  /** Names the factor in what its secret is bound to. */
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'totp_factors_pkey' })
  id!: string;

  @Column('uuid', { name: 'user_id' })
  userId!: string;

  @Column('bytea', { name: 'secret_encrypted', select: false })
  secretEncrypted!: Buffer;

  @Column('smallint', { name: 'encryption_key_id' })
  encryptionKeyId!: number;

  /** Null until the user has shown a code; it counts for nothing before. */
  @Column('timestamptz', { name: 'confirmed_at', nullable: true })
  confirmedAt!: Date | null;

  /** The time step of the newest code that was accepted: none up to it is good any more. */
  @Column('bigint', { name: 'last_step', default: 0 })
  lastStep!: string;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;
}
