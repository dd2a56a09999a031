import { ApiProperty } from '@nestjs/swagger';
import { IsOptional, IsString } from 'class-validator';
import type { Session } from '../tokens/tokens.types.js';
import type { User } from '../users/users.types.js';
import type { TokenPair } from './auth.types.js';

export const EXAMPLE_REFRESH_TOKEN =
  'rt1.KuGk3o1xT0Wn0p2cV4v1Yk3o4Q8mPq0bZ7m5oGq3o1wAAAABm2c1m8y0hT1C0f2o3Q4r5S6t7U8v9W0x1Y2z3A4b5C6d7E';

export class CredentialsDto {
  @IsString()
  @ApiProperty({ format: 'email', example: 'ada@example.com' })
  readonly email!: string;

  @IsString()
  @ApiProperty({
    format: 'password',
    example: 'a long and unlikely sentence',
    description: 'At least 8 (configurable) to 128 characters, any of them, at most 1024 bytes of UTF-8.',
  })
  readonly password!: string;
}

export class RefreshTokenDto {
  @IsString()
  @ApiProperty({ example: EXAMPLE_REFRESH_TOKEN })
  readonly refresh_token!: string;
}

export class LogoutDto {
  @IsOptional()
  @IsString()
  @ApiProperty({ required: false, example: EXAMPLE_REFRESH_TOKEN })
  readonly refresh_token?: string;
}

export class PasswordChangeDto {
  @IsString()
  @ApiProperty({ format: 'password', example: 'a long and unlikely sentence' })
  readonly current_password!: string;

  @IsString()
  @ApiProperty({ format: 'password', example: 'an even longer and unlikelier one' })
  readonly new_password!: string;
}

export class TokenPairDto {
  @ApiProperty({ description: 'A JWT (RFC 9068): send it as `Authorization: Bearer`.', example: 'eyJhbGciOiJFUzI1…' })
  readonly access_token!: string;

  @ApiProperty({ example: 'Bearer' })
  readonly token_type!: 'Bearer';

  @ApiProperty({ type: 'integer', description: 'Seconds from now until the access token expires.', example: 300 })
  readonly expires_in!: number;

  @ApiProperty({ description: 'Good for one refresh, which returns its successor.', example: EXAMPLE_REFRESH_TOKEN })
  readonly refresh_token!: string;

  @ApiProperty({
    type: 'integer',
    description: 'Seconds from now until the refresh token is too old to be used.',
    example: 1209600,
  })
  readonly refresh_expires_in!: number;
}

export class UserDto {
  @ApiProperty({ format: 'uuid', example: '9b2f6c1e-6f0a-4c39-8f5e-0d4f1f2a7c11' })
  readonly id!: string;

  @ApiProperty({ description: 'In its canonical form.', example: 'ada@example.com' })
  readonly email!: string;

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

export function toUserDto(user: User): UserDto {
  return { id: user.id, email: user.email, roles: user.roles, created_at: user.createdAt.toISOString() };
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
