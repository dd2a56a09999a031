import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** One row per ticket. Its tokens and its code are not in it: they are computed from the id. */
@Entity('tickets')
@Check('tickets_user_check', 'credential_version is null or user_id is not null')
@Check('tickets_consumption_check', 'consumed_by is null or consumed_at is not null')
@Index('tickets_live_user_id_idx', ['userId'], { where: 'consumed_at is null' })
@Index('tickets_expires_at_idx', ['expiresAt'])
export class TicketEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'tickets_pkey' })
  id!: string;

  @Column('text')
  purpose!: string;

  @Column('smallint', { name: 'key_id' })
  keyId!: number;

  @Column('uuid', { name: 'user_id', nullable: true })
  userId!: string | null;

  @Column('text', { nullable: true })
  email!: string | null;

  @Column('integer', { name: 'credential_version', nullable: true })
  credentialVersion!: number | null;

  @Column('jsonb', { select: false })
  data!: Readonly<Record<string, unknown>>;

  @Column('smallint', { default: 0 })
  attempts!: number;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;

  @Column('timestamptz', { name: 'consumed_at', nullable: true })
  consumedAt!: Date | null;

  @Column('uuid', { name: 'consumed_by', nullable: true })
  consumedBy!: string | null;
}
