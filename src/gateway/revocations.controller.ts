import { Controller, Get, Query, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ValidationFailedError } from '../common/domain.errors.js';
import { Public } from '../common/public.decorator.js';
import { ApiProblems } from '../http/api-problems.decorator.js';
import { RevocationFeed } from '../tokens/revocation-feed.service.js';

class RevocationsDto {
  @ApiProperty({
    type: [String],
    format: 'uuid',
    example: ['0b8c4a4e-9f1e-4f0a-8f55-6b6f3f7f4f10'],
    description: 'The `sid` of every session that has ended since the cursor; some may be told twice.',
  })
  readonly revoked!: readonly string[];

  @ApiProperty({ example: 'mZx0kQ3u5Xc.7041.pVb2Qk9Z.12', description: 'The `after` of the next question; opaque.' })
  readonly cursor!: string;

  @ApiProperty({
    type: 'number',
    example: 0.212,
    description: 'Seconds. What ended earlier than that before this answer is in it, or in an earlier one.',
  })
  readonly age_seconds!: number;
}

@ApiTags('gateway')
@Controller('auth/revocations')
export class RevocationsController {
  constructor(private readonly feed: RevocationFeed) {}

  @Get()
  @Public()
  @ApiOperation({
    summary: 'Sessions that have ended, for verifiers elsewhere',
    description:
      'Without `after`: all that ended within the longest life of an access token (62 minutes), at once. With it: what has ' +
      'since; when nothing has, the answer waits for up to 5 seconds. A session id opens nothing: the list is public, ' +
      'like the keys.',
  })
  @ApiQuery({ name: 'after', required: false, description: 'The `cursor` of the answer before, of any instance.' })
  @ApiOkResponse({ type: RevocationsDto, description: 'What there is to know.' })
  @ApiProblems('validation_failed', 'temporarily_unavailable')
  async revocations(@Query('after') after: unknown, @Req() request: FastifyRequest): Promise<RevocationsDto> {
    if (after !== undefined && typeof after !== 'string') {
      throw new ValidationFailedError([{ field: 'after', message: 'must be sent once' }]);
    }
    const { sessionIds, cursor, ageSeconds } = await this.feed.readAfter(after, request.signal);
    return { revoked: sessionIds, cursor, age_seconds: Math.max(0, Math.round(ageSeconds * 1000) / 1000) };
  }
}
