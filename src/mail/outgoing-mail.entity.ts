import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** One row per mail. Its link and its code are not in it: they are computed from the ticket when it is sent. */
@Entity('outgoing_mails')
@Check('outgoing_mails_end_check', 'num_nonnulls(sent_at, failed_at) <= 1')
@Index('outgoing_mails_due_idx', ['nextAttemptAt'], { where: 'sent_at is null and failed_at is null' })
export class OutgoingMailEntity {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'outgoing_mails_pkey' })
  id!: string;

  @Column('text')
  template!: string;

  @Column('text', { nullable: true })
  locale!: string | null;

  /** Null for nobody: an address that gets no mail costs the same row. */
  @Column('text', { nullable: true })
  recipient!: string | null;

  @Column('uuid', { name: 'ticket_id', nullable: true })
  ticketId!: string | null;

  @Column('jsonb', { nullable: true })
  params!: Readonly<Record<string, string | number>> | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('smallint', { default: 0 })
  attempts!: number;

  /** Also the lease of the instance that is sending it. */
  @Column('timestamptz', { name: 'next_attempt_at' })
  nextAttemptAt!: Date;

  @Column('timestamptz', { name: 'sent_at', nullable: true })
  sentAt!: Date | null;

  @Column('timestamptz', { name: 'failed_at', nullable: true })
  failedAt!: Date | null;

  @Column('text', { name: 'last_error', nullable: true })
  lastError!: string | null;
}
