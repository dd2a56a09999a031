import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { DomainError } from '../platform/common/domain.errors.js';
import { toDomainError } from '../platform/http/problems/error-translation.js';
import { noteProblem, type ProblemBody, toProblem } from '../platform/http/problems/problem.js';
import { asksForJson } from './asks-for-json.js';

const CANNOT_DECIDE = 503;
const DENIED = 403;

/**
 * Writes denials as gateways understand them. nginx turns every status except 401 and 403 into a 500, so a request that
 * is malformed is a 403, and every failure of the service a 503. The reason is in a header: most gateways discard the body, so there is one only if it was asked for.
 */
@Catch()
export class DenialFilter implements ExceptionFilter {
  private readonly logger = new Logger(DenialFilter.name);

  catch(exception: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = toDomainError(exception);
    const { status, headers, body } = toProblem(error, reply.request.id);
    noteProblem(reply, error.code);
    const isDenial = status >= 400 && status < 500;
    if (!isDenial) {
      this.log(error, status, reply.request.id);
    }
    const answered = !isDenial ? CANNOT_DECIDE : status === 401 ? status : DENIED;
    void reply.code(answered).headers({ ...headers, 'x-auth-error': error.code });
    if (asksForJson(reply.request.headers)) {
      void reply.send(Buffer.from(JSON.stringify({ ...body, status: answered } satisfies ProblemBody)));
    } else {
      void reply.removeHeader('content-type').send();
    }
  }

  /** The feed already logs an outage once; one line per request would flood the log. */
  private log(error: DomainError, status: number, requestId: string): void {
    const line = { msg: 'a gateway could not be answered', code: error.code, request_id: requestId };
    if (status === CANNOT_DECIDE) {
      this.logger.debug({ ...line, reason: error.message });
    } else {
      this.logger.error({ ...line, err: error });
    }
  }
}
