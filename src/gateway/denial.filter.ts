import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { type DomainError, TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { toDomainError } from '../platform/http/problems/error-translation.js';
import { noteProblem, toProblem } from '../platform/http/problems/problem.js';

const CANNOT_TELL = 503;

/**
 * A denial as gateways take it: nginx turns every status but 401 and 403 into a 500, so whatever else fails is "cannot
 * tell". No body, which most of them throw away; the reason is in a header.
 */
@Catch()
export class DenialFilter implements ExceptionFilter {
  private readonly logger = new Logger(DenialFilter.name);

  catch(exception: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = toDomainError(exception);
    const { status, headers } = toProblem(error, reply.request.id);
    noteProblem(reply, error.code);
    const isDenial = status === 401 || status === 403;
    if (!isDenial) {
      this.log(error, reply.request.id);
    }
    void reply
      .code(isDenial ? status : CANNOT_TELL)
      .headers({ ...headers, 'x-auth-error': error.code })
      .removeHeader('content-type')
      .send();
  }

  /** An outage has been told of once, by the feed; a line for every request that meets it would bury the rest. */
  private log(error: DomainError, requestId: string): void {
    const line = { msg: 'a gateway could not be answered', code: error.code, request_id: requestId };
    if (error instanceof TemporarilyUnavailableError) {
      this.logger.debug({ ...line, reason: error.message });
    } else {
      this.logger.error({ ...line, err: error });
    }
  }
}
