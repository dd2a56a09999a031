import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Config } from '../../platform/config/config.js';
import { Public } from '../../platform/common/public.decorator.js';
import { RelatedOriginsDto } from './passkeys.dto.js';

/** Tells browsers which other origins may use the passkeys of the domain, Web Authentication Level 3 section 5.11. */
@ApiTags('factors')
@Controller('.well-known')
export class RelatedOriginsController {
  constructor(private readonly config: Config) {}

  @Get('webauthn')
  @Public()
  @Header('Cache-Control', 'public, max-age=300')
  @ApiOperation({
    summary: 'Origins that may use the passkeys of the domain',
    description: 'For browsers, which ask the host of `WEBAUTHN_RP_ID`. Served when an origin is outside of it.',
  })
  @ApiOkResponse({ type: RelatedOriginsDto, description: '`WEBAUTHN_ORIGINS`, without apps.' })
  getRelatedOrigins(): RelatedOriginsDto {
    const { origins = [] } = this.config.factors?.passkeys ?? {};
    return { origins: origins.filter((origin) => origin.startsWith('http')) };
  }
}
