import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A WebAuthn credential of a user. */
@Entity('passkeys')
@Index('passkeys_user_id_idx', ['userId'])
export class PasskeyEntity {
  /** The credential id, which the authenticator chose. */
  @PrimaryColumn('bytea', { primaryKeyConstraintName: 'passkeys_pkey' })
  id!: Buffer;

  @Column('uuid', { name: 'user_id' })
  userId!: string;

  /** The domain that it was made for; it signs for no other. */
  @Column('text', { name: 'rp_id' })
  rpId!: string;

  /** COSE key. */
  @Column('bytea', { name: 'public_key' })
  publicKey!: Buffer;

  /** COSE algorithm. */
  @Column('integer')
  algorithm!: number;

  @Column('bigint', { name: 'sign_count' })
  signCount!: string;

  @Column('text', { array: true })
  transports!: string[];

  @Column('uuid')
  aaguid!: string;

  @Column('boolean', { name: 'backup_eligible' })
  backupEligible!: boolean;

  @Column('boolean', { name: 'backed_up' })
  backedUp!: boolean;

  @Column('text')
  name!: string;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;
}
