import { ApiProperty } from '@nestjs/swagger';
import { EXAMPLE_REFRESH_TOKEN, PRESENTED_REFRESH_TOKEN, TokenPairDto, toTokenPairDto } from '../auth/auth.dto.js';
import type { TokenPair } from '../auth/auth.types.js';
import { OAUTH_ERROR_CODES, type OAuthErrorBody } from './oauth-error.js';

/** Documentation only: forms are read parameter by parameter, and unknown ones are ignored (RFC 6749 section 3.2). */
export class OAuthTokenRequestDto {
  @ApiProperty({ enum: ['refresh_token'], example: 'refresh_token' })
  readonly grant_type!: string;

  @ApiProperty({ enum: ['ratchet'], example: 'ratchet' })
  readonly client_id!: string;

  @ApiProperty(PRESENTED_REFRESH_TOKEN)
  readonly refresh_token!: string;

  @ApiProperty({
    required: false,
    example: 'orders:read',
    description:
      'The roles that the access token is to carry; without it, all of the user’s. The refresh token keeps all. More than ' +
      'the user has is refused, and nothing is done.',
  })
  readonly scope?: string;
}

/** Documentation only, like the request of a token. */
export class OAuthRevocationRequestDto {
  @ApiProperty({ description: 'A refresh token or an access token.', example: EXAMPLE_REFRESH_TOKEN })
  readonly token!: string;

  @ApiProperty({ required: false, example: 'refresh_token', description: 'Ignored: a token tells its own type.' })
  readonly token_type_hint?: string;

  @ApiProperty({ enum: ['ratchet'], example: 'ratchet' })
  readonly client_id!: string;
}

export class OAuthTokenDto extends TokenPairDto {
  @ApiProperty({
    required: false,
    description: 'The roles that the access token carries, unless there are none.',
    example: 'orders:read',
  })
  readonly scope?: string;
}

/** Documentation only: errors are written by `oauth-error.ts`. */
export class OAuthErrorDto implements OAuthErrorBody {
  @ApiProperty({ enum: OAUTH_ERROR_CODES, description: 'Stable; the member to branch on.', example: 'invalid_grant' })
  readonly error!: OAuthErrorBody['error'];

  @ApiProperty({ description: 'A sentence for developers.', example: 'The session has expired; sign in again.' })
  readonly error_description!: string;
}

export function toOAuthTokenDto(pair: TokenPair): OAuthTokenDto {
  const dto = toTokenPairDto(pair);
  // An empty scope cannot be written (RFC 6749 section 3.3).
  return pair.roles.length > 0 ? Object.assign(dto, { scope: pair.roles.join(' ') }) : dto;
}
