import { Controller, Get, Header, Headers, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../common/public.decorator.js';
import { JwkSetDto } from './jwk-set.dto.js';
import { KeysService } from './keys.service.js';

@ApiTags('keys')
@Controller('.well-known')
export class JwksController {
  constructor(private readonly keys: KeysService) {}

  @Get('jwks.json')
  @Public()
  @Header('Cache-Control', 'public, max-age=300')
  @ApiOperation({
    summary: 'Public keys of access tokens',
    description:
      'A JWK Set (RFC 7517). Verify access tokens with the key that their `kid` names, and only with the `alg` that ' +
      'stands beside it. A key is published for a day before it signs unless configured otherwise, so a set may be cached ' +
      'for that long.',
  })
  @ApiProduces('application/jwk-set+json')
  @ApiOkResponse({
    type: JwkSetDto,
    description: 'Every key that verifies a good token, and the one that will sign next.',
  })
  @ApiResponse({ status: 304, description: 'The set is still the one that `If-None-Match` names.' })
  jwks(@Headers('if-none-match') ifNoneMatch: string | undefined, @Res() reply: FastifyReply): void {
    const { body, entityTag } = this.keys.publishedKeys();
    void reply.header('etag', entityTag);
    if (isMatch(ifNoneMatch, entityTag)) {
      void reply.status(304).send();
    } else {
      void reply.type('application/jwk-set+json').send(body);
    }
  }
}

/** RFC 9110 section 13.1.2: `*`, or any of the listed tags by weak comparison. */
function isMatch(ifNoneMatch: string | undefined, entityTag: string): boolean {
  const candidates = ifNoneMatch?.split(',').map((candidate) => candidate.trim().replace(/^W\//, '')) ?? [];
  return candidates.includes('*') || candidates.includes(entityTag);
}
