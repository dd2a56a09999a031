import { Column, Entity, PrimaryColumn } from 'typeorm';

/** Where a user has signed in from. */
@Entity('known_clients')
export class KnownClientEntity {
  @PrimaryColumn('uuid', { name: 'user_id', primaryKeyConstraintName: 'known_clients_pkey' })
  userId!: string;

  @PrimaryColumn('bytea', { primaryKeyConstraintName: 'known_clients_pkey' })
  fingerprint!: Buffer;

  @Column('timestamptz', { name: 'last_seen' })
  lastSeen!: Date;
}
