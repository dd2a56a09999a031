import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The authenticator app of a user; one at most. */
@Entity('totp_factors')
export class TotpFactorEntity {
  @PrimaryColumn('uuid', { name: 'user_id', primaryKeyConstraintName: 'totp_factors_pkey' })
  userId!: string;

  /** Names the factor in what its secret is bound to. */
  @Column('uuid')
  id!: string;

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
