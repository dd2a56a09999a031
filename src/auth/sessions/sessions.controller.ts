import { Controller, Delete, Get, HttpCode, Param, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ApiProblems } from '../../platform/http/problems/api-problems.js';
import { ACCESS_TOKEN_SCHEME } from '../../platform/http/openapi.js';
import { SessionListDto, toSessionDto } from '../auth.dto.js';
import { BEARER_PROBLEMS } from '../auth.errors.js';
import type { Identity } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { CurrentIdentity } from '../request.decorators.js';
import { SessionsService } from './sessions.service.js';

@ApiTags('sessions')
@ApiBearerAuth(ACCESS_TOKEN_SCHEME)
@Controller('auth/sessions')
export class SessionsController {
  constructor(
    private readonly sessions: SessionsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the live sessions of the user',
    description: 'The last used comes first. `current` marks the session of the access token.',
  })
  @ApiOkResponse({ type: SessionListDto, description: 'The sessions that have neither ended nor expired.' })
  @ApiProblems(...BEARER_PROBLEMS, 'temporarily_unavailable')
  async listSessions(@CurrentIdentity() identity: Identity): Promise<SessionListDto> {
    const sessions = await this.sessions.list(identity.userId);
    return { sessions: sessions.map((session) => toSessionDto(session, identity.sessionId)) };
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'End one session of the user',
    description: 'Its access tokens are refused at once. Ending a session that has already ended is a success.',
  })
  @ApiParam({ name: 'id', format: 'uuid', example: '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564' })
  @ApiNoContentResponse({ description: 'The session has ended, now or earlier.' })
  @ApiProblems(...BEARER_PROBLEMS, 'not_found', 'temporarily_unavailable', 'outcome_unknown')
  async endSession(
    @Param('id') id: string,
    @CurrentIdentity() identity: Identity,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    await this.sessions.end(identity.userId, id);
    if (id === identity.sessionId) {
      this.cookies.forget(reply);
    }
  }
}
