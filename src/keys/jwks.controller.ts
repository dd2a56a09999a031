import { Controller, Get, Header, Headers, Param, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { NotFoundError } from '../platform/common/domain.errors.js';
import { Public } from '../platform/common/public.decorator.js';
import { ApiProblems } from '../platform/http/problems/api-problems.js';
import { publish, sendPublished } from '../platform/http/published-document.js';
import { JwkSetDto } from './jwk-set.dto.js';
import { JWK_SET_MEDIA_TYPE, KeysService } from './keys.service.js';

const PEM_MEDIA_TYPE = 'application/x-pem-file';

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
      'stands beside it. A set may be kept for 300 s, as `Cache-Control` says. When a token names an unknown `kid`, fetch it ' +
      'again, at most every 30 s.',
  })
  @ApiProduces(JWK_SET_MEDIA_TYPE)
  @ApiOkResponse({
    type: JwkSetDto,
    description: 'Every key that verifies a good token, and the one that will sign next.',
  })
  @ApiResponse({ status: 304, description: 'The set is still the one that `If-None-Match` names.' })
  getKeySet(@Headers('if-none-match') ifNoneMatch: string | undefined, @Res() reply: FastifyReply): void {
    sendPublished(reply, this.keys.publishedKeys(), ifNoneMatch);
  }

  /** @throws NotFoundError when no published key has that id */
  @Get('keys/:kid.pem')
  @Public()
  @Header('Cache-Control', 'public, max-age=300')
  @ApiOperation({
    summary: 'One public key, for gateways that read no JWK Set',
    description: 'The key of that `kid` as PEM (SubjectPublicKeyInfo), for HAProxy or Kong.',
  })
  @ApiParam({ name: 'kid', example: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' })
  @ApiProduces(PEM_MEDIA_TYPE)
  @ApiOkResponse({ schema: { type: 'string' }, description: 'The key.' })
  @ApiResponse({ status: 304, description: 'The key is still the one that `If-None-Match` names.' })
  @ApiProblems('not_found')
  getKey(
    @Param('kid') kid: string,
    @Headers('if-none-match') ifNoneMatch: string | undefined,
    @Res() reply: FastifyReply,
  ): void {
    const key = this.keys.verificationKey(kid);
    if (key === undefined) {
      throw new NotFoundError();
    }
    const pem = key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    sendPublished(reply, publish(PEM_MEDIA_TYPE, pem), ifNoneMatch);
  }
}
