import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { JwtAlgorithm } from '../platform/config/config.js';
import type { PublicJwk, SigningKeyStatus } from './keys.types.js';

/** A signing key pair; the private half is encrypted under a key that is not in the database. */
@Entity('signing_keys')
@Check('signing_keys_algorithm_check', "algorithm in ('ES256', 'RS256')")
@Check('signing_keys_status_check', "status in ('next', 'active', 'retiring')")
@Index('signing_keys_one_active_one_next_key', ['status'], { unique: true, where: "status <> 'retiring'" })
export class SigningKeyEntity {
  /** RFC 7638 thumbprint of the public key. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'signing_keys_pkey' })
  kid!: string;

  @Column('text')
  algorithm!: JwtAlgorithm;

  @Column('text')
  status!: SigningKeyStatus;

  @Column('jsonb', { name: 'public_jwk' })
  publicJwk!: PublicJwk;

  @Column('bytea', { name: 'private_key_encrypted' })
  privateKeyEncrypted!: Buffer;

  /** Which `AUTH_SECRET` the private key is encrypted under. */
  @Column('smallint', { name: 'encryption_key_id' })
  encryptionKeyId!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'activated_at', nullable: true })
  activatedAt!: Date | null;

  @Column('timestamptz', { name: 'retiring_at', nullable: true })
  retiringAt!: Date | null;
}
