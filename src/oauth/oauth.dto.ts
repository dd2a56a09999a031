import { ApiProperty } from '@nestjs/swagger';
import type { TokenPair } from '../auth/auth.types.js';
import type { OAuthErrorBody } from './oauth-error.js';

const EXAMPLE_REFRESH_TOKEN =
  'rt1.KuGk3o1xT0Wn0p2cV4v1Yk3o4Q8mPq0bZ7m5oGq3o1wAAAABm2c1m8y0hT1C0f2o3Q4r5S6t7U8v9W0x1Y2z3A4b5C6d7E';

/** Documentation only: forms are read parameter by parameter, and unknown ones are ignored (RFC 6749 section 3.2). */
export class OAuthTokenRequestDto {
  @ApiProperty({ enum: ['refresh_token'], example: 'refresh_token' })
  readonly grant_type!: string;

  @ApiProperty({ enum: ['ratchet'], example: 'ratchet' })
  readonly client_id!: string;

  @ApiProperty({ example: EXAMPLE_REFRESH_TOKEN })
  readonly refresh_token!: string;

  @ApiProperty({
    required: false,
    example: 'orders:read',
    description: 'May not ask for more than the roles of the user; less is not granted either: all of them always are.',
  })
  readonly scope?: string;
}

/** Documentation only, as above. */
export class OAuthRevocationRequestDto {
  @ApiProperty({ description: 'A refresh token or an access token.', example: EXAMPLE_REFRESH_TOKEN })
  readonly token!: string;

  @ApiProperty({ required: false, example: 'refresh_token', description: 'Ignored: a token says itself what it is.' })
  readonly token_type_hint?: string;

  @ApiProperty({ enum: ['ratchet'], example: 'ratchet' })
  readonly client_id!: string;
}

export class OAuthTokenDto {
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
    description: 'Seconds from now until the refresh token is too old to be used; an addition of ours.',
    example: 1209600,
  })
  readonly refresh_expires_in!: number;

  @ApiProperty({
    required: false,
    description: 'The roles of the user, unless there are none.',
    example: 'orders:read',
  })
  readonly scope?: string;
}

/** Documentation only: errors are written by `oauth-error.ts`. */
export class OAuthErrorDto implements OAuthErrorBody {
  @ApiProperty({ type: String, description: 'Stable; the member to branch on.', example: 'invalid_grant' })
  readonly error!: OAuthErrorBody['error'];

  @ApiProperty({ description: 'A sentence for developers.', example: 'The session has expired; sign in again.' })
  readonly error_description!: string;
}

export function toOAuthTokenDto(pair: TokenPair): OAuthTokenDto {
  return {
    access_token: pair.accessToken,
    token_type: 'Bearer',
    expires_in: pair.expiresInSeconds,
    refresh_token: pair.refreshToken,
    refresh_expires_in: pair.refreshExpiresInSeconds,
    // A scope of nothing has no spelling (RFC 6749 section 3.3).
    ...(pair.roles.length > 0 && { scope: pair.roles.join(' ') }),
  };
}
