import { Controller, Get, Header, Headers, Param, Res } from '@nestjs/common';
import { ApiExcludeEndpoint, ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { NotFoundError } from '../platform/common/domain.errors.js';
import { Public } from '../platform/common/public.decorator.js';
import { KeysService } from '../keys/keys.service.js';
import { Config } from '../platform/config/config.js';
import { publish, type PublishedDocument, sendPublished } from '../platform/http/published-document.js';
import { OpenIdConfigurationDto, ServerMetadataDto } from './server-metadata.dto.js';
import { issuerPath, openIdConfiguration, serverMetadata } from './server-metadata.js';

const CACHING = ['Cache-Control', 'public, max-age=300'] as const;

@ApiTags('oauth')
@Controller('.well-known')
export class MetadataController {
  private readonly document: PublishedDocument;
  private readonly issuerPath: string;

  constructor(
    private readonly keys: KeysService,
    private readonly config: Config,
  ) {
    const { issuer } = config.accessTokens;
    this.document = publish('application/json', JSON.stringify(serverMetadata(issuer)));
    this.issuerPath = issuerPath(issuer);
  }

  @Get('oauth-authorization-server')
  @Public()
  @Header(...CACHING)
  @ApiOperation({
    summary: 'OAuth server metadata',
    description:
      'RFC 8414 metadata. All addresses begin with `JWT_ISSUER`. Where that has a path, the document is also at this ' +
      'address with the path behind it.',
  })
  @ApiOkResponse({ type: ServerMetadataDto, description: 'The metadata.' })
  @ApiResponse({ status: 304, description: 'The document is still the one that `If-None-Match` names.' })
  getServerMetadata(@Headers('if-none-match') ifNoneMatch: string | undefined, @Res() reply: FastifyReply): void {
    sendPublished(reply, this.document, ifNoneMatch);
  }

  @Get('openid-configuration')
  @Public()
  @Header(...CACHING)
  @ApiOperation({
    summary: 'OAuth server metadata, at the OpenID Connect address',
    description:
      'The same, and what strict readers of OpenID Connect look for. No ID tokens are issued: this is not an OpenID ' +
      'provider. The algorithms are those of the published keys, which sign access tokens.',
  })
  @ApiOkResponse({ type: OpenIdConfigurationDto, description: 'The metadata.' })
  @ApiResponse({ status: 304, description: 'The document is still the one that `If-None-Match` names.' })
  getOpenIdConfiguration(@Headers('if-none-match') ifNoneMatch: string | undefined, @Res() reply: FastifyReply): void {
    const metadata = openIdConfiguration(this.config.accessTokens.issuer, this.keys.publishedAlgorithms());
    sendPublished(reply, publish('application/json', JSON.stringify(metadata)), ifNoneMatch);
  }

  /** @throws NotFoundError unless the rest of the path is that of the issuer */
  @Get('oauth-authorization-server/*')
  @Public()
  @Header(...CACHING)
  @ApiExcludeEndpoint()
  getServerMetadataAtPath(
    @Param('*') path: string,
    @Headers('if-none-match') ifNoneMatch: string | undefined,
    @Res() reply: FastifyReply,
  ): void {
    if (path === '' || path !== this.issuerPath) {
      throw new NotFoundError();
    }
    sendPublished(reply, this.document, ifNoneMatch);
  }
}
