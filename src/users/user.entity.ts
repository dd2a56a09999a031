import { Check, Column, Entity, PrimaryColumn, Unique } from 'typeorm';
import type { SecondFactor, UserStatus } from './users.types.js';

@Entity('users')
@Unique('users_email_key', ['email'])
@Check('users_status_check', `status in ('active', 'disabled')`)
@Check('users_roles_check', 'are_role_names(roles)')
@Check('users_second_factors_check', `second_factors <@ array['totp', 'passkey']`)
@Check('users_email_check', 'email = lower(email) and length(email) <= 254')
export class UserEntity {
  @PrimaryColumn({ type: 'uuid', primaryKeyConstraintName: 'users_pkey' })
  id!: string;

  @Column({ type: 'text' })
  email!: string;

  /** Null while the account has no password. */
  @Column({ type: 'text', name: 'password_hash', nullable: true, select: false })
  passwordHash!: string | null;

  @Column({ type: 'text', default: 'active' })
  status!: UserStatus;

  @Column({ type: 'text', array: true, default: '{}' })
  roles!: string[];

  @Column({ type: 'integer', name: 'credential_version', default: 1 })
  credentialVersion!: number;

  /** When the user last proved that the address is theirs; null for never. */
  @Column({ type: 'timestamptz', name: 'email_verified_at', nullable: true })
  emailVerifiedAt!: Date | null;

  /** The language of mails, BCP 47. */
  @Column({ type: 'text', nullable: true })
  locale!: string | null;

  /** Which kinds of second factors the user has, as the tables of the factors say. */
  @Column({ type: 'text', name: 'second_factors', array: true, default: '{}' })
  secondFactors!: SecondFactor[];

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
