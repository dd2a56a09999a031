import { Controller, Get, Header, Headers, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiPropertyOptional, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../platform/common/public.decorator.js';
import { Config } from '../platform/config/config.js';
import { servesApiDocs } from '../platform/http/openapi.js';
import { type PublishedDocument, publish, sendPublished } from '../platform/http/published-document.js';

class IndexDto {
  @ApiProperty({ enum: ['Ratchet'], example: 'Ratchet' })
  readonly name!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com', description: 'The `iss` of the tokens.' })
  readonly issuer!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/.well-known/oauth-authorization-server' })
  readonly metadata!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/.well-known/jwks.json' })
  readonly keys!: string;

  @ApiProperty({ format: 'uri', example: 'https://auth.example.com/health/ready' })
  readonly health!: string;

  @ApiPropertyOptional({ format: 'uri', example: 'https://auth.example.com/docs', description: 'Unless it is off.' })
  readonly documentation?: string;
}

/** Answers people who open the address of the service. A gateway may route `/` elsewhere; nothing depends on it. */
@ApiTags('oauth')
@Controller()
export class IndexController {
  private readonly document: PublishedDocument;

  constructor(config: Config) {
    this.document = publish('application/json', JSON.stringify(indexOf(config)));
  }

  @Get()
  @Public()
  @Header('Cache-Control', 'public, max-age=300')
  @ApiOperation({
    summary: 'What is served here',
    description: 'For people who open the address of the service. All addresses begin with `JWT_ISSUER`.',
  })
  @ApiOkResponse({ type: IndexDto, description: 'The name of the service, and where its documents are.' })
  @ApiResponse({ status: 304, description: 'The document is still the one that `If-None-Match` names.' })
  getIndex(@Headers('if-none-match') ifNoneMatch: string | undefined, @Res() reply: FastifyReply): void {
    sendPublished(reply, this.document, ifNoneMatch);
  }
}

/** Names no version, which would tell a scanner where a known defect is worth trying. */
function indexOf(config: Config): IndexDto {
  const { issuer } = config.accessTokens;
  const base = issuer.replace(/\/$/, '');
  return {
    name: 'Ratchet',
    issuer,
    metadata: `${base}/.well-known/oauth-authorization-server`,
    keys: `${base}/.well-known/jwks.json`,
    health: `${base}/health/ready`,
    ...(servesApiDocs(config) && { documentation: `${base}/docs` }),
  };
}
