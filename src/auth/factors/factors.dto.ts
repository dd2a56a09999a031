import { ApiExtraModels, ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { IsString, MaxLength } from 'class-validator';
import { RECOVERY_CODES, type TotpEnrolment, type TotpFactor } from '../../factors/factors.types.js';
import { type Passkey, PASSKEY_NAME_MAX_CHARACTERS } from '../../factors/passkeys.types.js';
import { LONGEST_CODE_CHARACTERS } from './factor-proof.dto.js';

export const PASSKEY_NAME_SCHEMA = {
  minLength: 1,
  maxLength: PASSKEY_NAME_MAX_CHARACTERS,
  description: 'What the user calls it.',
  example: 'Phone of Ada',
};

export const RECOVERY_CODES_SCHEMA = {
  type: [String] as [StringConstructor],
  minItems: RECOVERY_CODES,
  maxItems: RECOVERY_CODES,
  example: [
    'MFZW-I5DF-NRWG-K4TF',
    'ONSW-G4TF-OQQG-S43O',
    'GEZD-GNBV-GY3T-QOJQ',
    'KRUG-KIDR-OVUW-G2ZA',
    'MJZG-653O-EBTG-66BA',
    'NJ2W-24DT-EBXX-MZLS',
    'EB2G-QZJA-NRQX-U6JA',
    'MRXW-OLRA-KBQW-G2ZA',
    'NV4S-AYTP-PAQH-O2LU',
    'NAQG-M2LW-MUQG-I33Z',
  ],
};

export class TotpCodeDto {
  @IsString()
  @MaxLength(LONGEST_CODE_CHARACTERS)
  @ApiProperty({
    maxLength: LONGEST_CODE_CHARACTERS,
    description: 'The six digits that the authenticator app shows.',
    example: '204815',
  })
  readonly totp!: string;
}

export class TotpEnrolmentDto {
  @ApiProperty({
    description: 'In base32, for an app that reads no QR code. Shown once.',
    example: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
  })
  readonly secret!: string;

  @ApiProperty({
    description: 'For a QR code that the page draws by itself: it holds the secret.',
    example:
      'otpauth://totp/auth.example.com:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=auth.example.com',
  })
  readonly otpauth_uri!: string;
}

export class RecoveryCodesDto {
  @ApiProperty({
    ...RECOVERY_CODES_SCHEMA,
    description: 'Each is good once in place of a second factor. Shown once.',
  })
  readonly recovery_codes!: readonly string[];
}

export class TotpFactorDto {
  @ApiProperty({ format: 'date-time', example: '2026-11-23T09:30:00.000Z' })
  readonly created_at!: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, example: '2026-11-23T10:00:00.000Z' })
  readonly last_used_at!: string | null;
}

export class PasskeyDto {
  @ApiProperty({ description: 'Of the credential, base64url.', example: 'vUVDkOQ6pfC2TGcD2Bz6A1sRSJhLCyo2HJvOYyDzpqo' })
  readonly id!: string;

  @ApiProperty(PASSKEY_NAME_SCHEMA)
  readonly name!: string;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T09:30:00.000Z' })
  readonly created_at!: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, example: '2026-11-23T10:00:00.000Z' })
  readonly last_used_at!: string | null;

  @ApiProperty({ description: 'Whether a provider of passkeys holds a copy: it survives the loss of the device.' })
  readonly backed_up!: boolean;
}

@ApiExtraModels(TotpFactorDto)
export class FactorsDto {
  @ApiProperty({
    oneOf: [{ $ref: getSchemaPath(TotpFactorDto) }, { type: 'null' }],
    description: 'The authenticator app; null without one.',
  })
  readonly totp!: TotpFactorDto | null;

  @ApiProperty({ type: [PasskeyDto], description: 'The oldest first.' })
  readonly passkeys!: readonly PasskeyDto[];

  @ApiProperty({ type: 'integer', description: 'How many recovery codes are unused.', example: RECOVERY_CODES })
  readonly recovery_codes_left!: number;
}

export function toTotpEnrolmentDto({ secret, otpauthUri }: TotpEnrolment): TotpEnrolmentDto {
  return { secret, otpauth_uri: otpauthUri };
}

export function toTotpFactorDto({ createdAt, lastUsedAt }: TotpFactor): TotpFactorDto {
  return { created_at: createdAt.toISOString(), last_used_at: lastUsedAt?.toISOString() ?? null };
}

export function toPasskeyDto({ id, name, createdAt, lastUsedAt, isBackedUp }: Passkey): PasskeyDto {
  return {
    id,
    name,
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt?.toISOString() ?? null,
    backed_up: isBackedUp,
  };
}
