import { Controller, Get, Header, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ValidationFailedError } from '../platform/common/domain.errors.js';
import { Public } from '../platform/common/public.decorator.js';
import { ApiProblems } from '../platform/http/problems/api-problems.js';
import { LONGEST_WAIT_FOR_NEWS_SECONDS, RevocationReaderService } from '../tokens/revocation-reader.service.js';
import type { RevocationPage } from '../tokens/tokens.types.js';

class RevocationsDto {
  @ApiProperty({
    type: [String],
    format: 'uuid',
    example: ['0b8c4a4e-9f1e-4f0a-8f55-6b6f3f7f4f10'],
    description: 'The `sid` of every session that has ended since the cursor; some may be repeated.',
  })
  readonly revoked!: readonly string[];

  @ApiProperty({ example: 'mZx0kQ3u5Xc.7041.pVb2Qk9Z.12', description: 'The `after` of the next request; opaque.' })
  readonly cursor!: string;

  @ApiProperty({
    type: 'number',
    example: 0.212,
    description: 'Seconds. Every session that ended longer ago than this is in this answer or an earlier one.',
  })
  readonly age_seconds!: number;

  @ApiProperty({ type: 'number', example: 3.4, description: 'Seconds that the answer waited for an ended session.' })
  readonly waited_seconds!: number;
}

/** A client that has not received a long answer within this time has given up, as verifiers do. */
const LONGEST_SENDING_MS = 10_000;

const LONGEST_WAIT_TO_ASK_FOR_SECONDS = 99;
const WHOLE_SECONDS = new RegExp(`^\\d{1,${String(LONGEST_WAIT_TO_ASK_FOR_SECONDS).length}}$`);

@ApiTags('gateway')
@Controller('auth/revocations')
export class RevocationsController {
  constructor(private readonly reader: RevocationReaderService) {}

  @Get()
  @Public()
  @ApiOperation({
    summary: 'List ended sessions, for verifiers elsewhere',
    description:
      'Without `after`, answers at once with the sessions that ended within the longest life of an access token (62 minutes). ' +
      'With it, answers with those that have ended since; while there are none, it waits for up to 5 seconds, or `wait`. ' +
      'An answer has about 2,000 sessions at most. Where there are more, its `age_seconds` is above 3,720, and the next ' +
      'answers have the rest. ' +
      'The list is public, like the keys: a session id gives no access.',
  })
  @ApiQuery({
    name: 'after',
    required: false,
    schema: { type: 'string' },
    description: 'The `cursor` of the previous answer, of any instance.',
  })
  @ApiQuery({
    name: 'wait',
    required: false,
    schema: { type: 'integer', minimum: 0, maximum: LONGEST_WAIT_TO_ASK_FOR_SECONDS },
    description: `The most whole seconds to wait for an ended session; 0 for none. More than ${LONGEST_WAIT_FOR_NEWS_SECONDS} count as ${LONGEST_WAIT_FOR_NEWS_SECONDS}.`,
  })
  @ApiOkResponse({ type: RevocationsDto, description: 'The ended sessions.' })
  @ApiProblems('validation_failed', 'temporarily_unavailable')
  @Header('Content-Type', 'application/json; charset=utf-8')
  async listRevocations(
    @Query('after') after: unknown,
    @Query('wait') wait: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Buffer> {
    if (after !== undefined && typeof after !== 'string') {
      throw new ValidationFailedError([{ field: 'after', message: 'must be sent once' }]);
    }
    const page = await this.reader.readAfter(after, readWaitSeconds(wait), request.signal);
    const end = this.reader.beginAnswer(page.sessionIds.length);
    const cut = setTimeout(() => reply.raw.destroy(), LONGEST_SENDING_MS);
    reply.raw.once('close', () => {
      clearTimeout(cut);
      end();
    });
    return serialise(page);
  }
}

/** Writes a `RevocationsDto` around the list, which many answers share. */
function serialise({ sessionIds, cursor, ageSeconds, waitedSeconds }: RevocationPage): Buffer {
  const rest = {
    cursor,
    age_seconds: Math.max(0, inMilliseconds(ageSeconds)),
    waited_seconds: inMilliseconds(waitedSeconds),
  } satisfies Omit<RevocationsDto, 'revoked'>;
  return Buffer.concat([Buffer.from('{"revoked":['), sessionIds, Buffer.from(`],${JSON.stringify(rest).slice(1)}`)]);
}

function readWaitSeconds(wait: unknown): number {
  if (wait === undefined) {
    return LONGEST_WAIT_FOR_NEWS_SECONDS;
  }
  if (typeof wait !== 'string' || !WHOLE_SECONDS.test(wait)) {
    throw new ValidationFailedError([{ field: 'wait', message: 'must be a number of whole seconds' }]);
  }
  return Number(wait);
}

/** Rounds seconds to milliseconds; the digits after that mean nothing. */
function inMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
