import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsOptional, IsString, ValidateIf } from 'class-validator';
import { NEW_PASSWORD } from '../platform/http/openapi.js';
import { REFRESH_TOKEN_CHARACTERS, REFRESH_TOKEN_SHAPE, type Session } from '../tokens/tokens.types.js';
import { EMAIL_MAX_CHARACTERS, PASSWORD_MAX_BYTES, PASSWORD_MAX_CODE_POINTS, type User } from '../users/users.types.js';
import type { TokenPair } from './auth.types.js';

export const EXAMPLE_REFRESH_TOKEN =
  'rt1.KuGk3o1xT0Wn0p2cV4v1Yk3o4Q8mPq0bZ7m5oGq3o1wAAAABm2c1m8y0hT1C0f2o3Q4r5S6t7U8v9W0x1Y2z3A4b5C6d';

const REFRESH_TOKEN = {
  minLength: REFRESH_TOKEN_CHARACTERS,
  maxLength: REFRESH_TOKEN_CHARACTERS,
  pattern: REFRESH_TOKEN_SHAPE.source,
  example: EXAMPLE_REFRESH_TOKEN,
} as const;

/** As it is sent. A text of another shape is not a malformed request. */
export const PRESENTED_REFRESH_TOKEN = {
  ...REFRESH_TOKEN,
  description: 'Any other text is answered like a token that this service did not issue.',
} as const;

export const NEW_PASSWORD_SCHEMA = {
  ...NEW_PASSWORD,
  maxLength: PASSWORD_MAX_CODE_POINTS,
  description:
    'Any characters, counted as Unicode code points after NFC normalisation, at most ' +
    `${PASSWORD_MAX_BYTES} bytes in UTF-8. Not one of the common passwords.`,
} as const;

/** At a login, a password that no new account may have is wrong and not malformed. */
const CURRENT_PASSWORD_SCHEMA = {
  maxLength: PASSWORD_MAX_BYTES,
  description: `At most ${PASSWORD_MAX_BYTES} bytes in UTF-8.`,
} as const;

export class RegistrationDto {
  @IsString()
  @ApiProperty({ format: 'email', maxLength: EMAIL_MAX_CHARACTERS, example: 'ada@example.com' })
  readonly email!: string;

  @IsString()
  @ApiProperty({ ...NEW_PASSWORD_SCHEMA, example: 'a long and unlikely sentence' })
  readonly password!: string;
}

export class LoginDto {
  @IsString()
  @ApiProperty({ example: 'ada@example.com', description: 'In any of its spellings.' })
  readonly email!: string;

  @IsString()
  @ApiProperty({ ...CURRENT_PASSWORD_SCHEMA, example: 'a long and unlikely sentence' })
  readonly password!: string;
}

export class RefreshTokenDto {
  // Absent where a cookie has it; `null` is a mistake in any case.
  @ValidateIf(({ refresh_token }: RefreshTokenDto) => refresh_token !== undefined)
  @IsString()
  @ApiProperty(PRESENTED_REFRESH_TOKEN)
  readonly refresh_token?: string;
}

export class LogoutDto {
  @IsOptional()
  @IsString()
  @ApiProperty({ ...PRESENTED_REFRESH_TOKEN, required: false })
  readonly refresh_token?: string;
}

export class PasswordChangeDto {
  @IsString()
  @ApiProperty({ ...CURRENT_PASSWORD_SCHEMA, example: 'a long and unlikely sentence' })
  readonly current_password!: string;

  @IsString()
  @ApiProperty({ ...NEW_PASSWORD_SCHEMA, example: 'an even longer and unlikelier one' })
  readonly new_password!: string;
}

export class TokenPairDto {
  @ApiProperty({ description: 'A JWT (RFC 9068): send it as `Authorization: Bearer`.', example: 'eyJhbGciOiJFUzI1…' })
  readonly access_token!: string;

  @ApiProperty({ enum: ['Bearer'], example: 'Bearer' })
  readonly token_type!: 'Bearer';

  @ApiProperty({ type: 'integer', description: 'Seconds from now until the access token expires.', example: 300 })
  readonly expires_in!: number;

  @ApiProperty({ ...REFRESH_TOKEN, description: 'Good for one refresh, which returns its successor.' })
  readonly refresh_token!: string;

  @ApiProperty({
    type: 'integer',
    description: 'Seconds from now until the refresh token is too old to be used.',
    example: 1209600,
  })
  readonly refresh_expires_in!: number;
}

export class AccessTokenDto {
  @ApiPropertyOptional({
    description: 'A JWT (RFC 9068); absent in the answer to a cookie request with `ACCESS_COOKIE=on`.',
    example: 'eyJhbGciOiJFUzI1…',
  })
  readonly access_token?: string;

  @ApiProperty({ enum: ['Bearer'], example: 'Bearer' })
  readonly token_type!: 'Bearer';

  @ApiProperty({ type: 'integer', description: 'Seconds from now until the access token expires.', example: 300 })
  readonly expires_in!: number;
}

/** The answer to a cookie request in place of a token pair; without the access token if that is in a cookie too. */
export type CookieSessionDto = Omit<TokenPairDto, 'access_token' | 'refresh_token'> &
  Partial<Pick<TokenPairDto, 'access_token'>>;

export class UserDto {
  @ApiProperty({ format: 'uuid', example: '9b2f6c1e-6f0a-4c39-8f5e-0d4f1f2a7c11' })
  readonly id!: string;

  @ApiProperty({ description: 'In its canonical form.', example: 'ada@example.com' })
  readonly email!: string;

  @ApiProperty({ description: 'Whether the user has proved that the address is theirs.', example: true })
  readonly email_verified!: boolean;

  @ApiProperty({ type: [String], example: ['orders:read'] })
  readonly roles!: readonly string[];

  @ApiProperty({ format: 'date-time', example: '2026-11-23T09:30:00.000Z' })
  readonly created_at!: string;
}

export class SessionDto {
  @ApiProperty({ format: 'uuid', example: '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564' })
  readonly id!: string;

  @ApiProperty({ description: 'Whether it is the session of the access token of this request.', example: true })
  readonly current!: boolean;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T09:30:00.000Z' })
  readonly created_at!: string;

  @ApiProperty({ format: 'date-time', description: 'The last login or refresh.', example: '2026-11-23T10:00:00.000Z' })
  readonly last_used_at!: string;

  @ApiProperty({
    format: 'date-time',
    description: 'The absolute end of the session; never extended.',
    example: '2026-12-23T09:30:00.000Z',
  })
  readonly expires_at!: string;

  @ApiProperty({ type: String, nullable: true, example: '203.0.113.7' })
  readonly ip_address!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'Mozilla/5.0' })
  readonly user_agent!: string | null;
}

export class SessionListDto {
  @ApiProperty({ type: [SessionDto] })
  readonly sessions!: SessionDto[];
}

export function toTokenPairDto(pair: TokenPair): TokenPairDto {
  return {
    access_token: pair.accessToken,
    token_type: 'Bearer',
    expires_in: pair.expiresInSeconds,
    refresh_token: pair.refreshToken,
    refresh_expires_in: pair.refreshExpiresInSeconds,
  };
}

export function toCookieSessionDto(pair: TokenPair, hasAccessToken: boolean): CookieSessionDto {
  const { access_token, token_type, expires_in, refresh_expires_in } = toTokenPairDto(pair);
  return { ...(hasAccessToken && { access_token }), token_type, expires_in, refresh_expires_in };
}

export function toUserDto(user: User): UserDto {
  return {
    id: user.id,
    email: user.email,
    email_verified: user.isEmailVerified,
    roles: user.roles,
    created_at: user.createdAt.toISOString(),
  };
}

export function toSessionDto(session: Session, currentId: string): SessionDto {
  return {
    id: session.id,
    current: session.id === currentId,
    created_at: session.createdAt.toISOString(),
    last_used_at: session.lastUsedAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
    ip_address: session.ipAddress ?? null,
    user_agent: session.userAgent ?? null,
  };
}
