import { ApiProperty } from '@nestjs/swagger';
import type { OpenIdConfiguration, ServerMetadata } from './server-metadata.js';

/** Documentation only: the document is made by `server-metadata.ts`. */
export class ServerMetadataDto implements ServerMetadata {
  @ApiProperty({ format: 'uri', example: 'https://auth.example.com' })
  readonly issuer!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/oauth/token' })
  readonly token_endpoint!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/oauth/revoke' })
  readonly revocation_endpoint!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/.well-known/jwks.json' })
  readonly jwks_uri!: string;

  @ApiProperty({ type: [String], example: ['refresh_token'] })
  readonly grant_types_supported!: readonly string[];

  @ApiProperty({ type: [String], example: [], description: 'Empty: there is no authorization endpoint.' })
  readonly response_types_supported!: readonly string[];

  @ApiProperty({ type: [String], example: ['none'] })
  readonly token_endpoint_auth_methods_supported!: readonly string[];

  @ApiProperty({ type: [String], example: ['none'] })
  readonly revocation_endpoint_auth_methods_supported!: readonly string[];
}

export class OpenIdConfigurationDto extends ServerMetadataDto implements OpenIdConfiguration {
  @ApiProperty({ type: [String], example: ['public'] })
  readonly subject_types_supported!: readonly string[];

  @ApiProperty({
    type: [String],
    example: ['ES256'],
    description: 'The algorithms of the published keys, which sign access tokens. No ID tokens are issued.',
  })
  readonly id_token_signing_alg_values_supported!: OpenIdConfiguration['id_token_signing_alg_values_supported'];
}
