import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type DomainError, OverloadedError } from '../../common/domain.errors.js';
import { errorWriterOf } from '../form-route.js';
import type { OnceAMinute } from '../../logging/once-a-minute.js';
import { toDomainError } from './error-translation.js';
import { InternalError } from './http.errors.js';
import { noteProblem, sendProblem } from './problem.js';
import { definitionOf } from './problem.catalogue.js';
import type { EdgeHeaders } from '../response-headers.js';

/**
 * Turns everything that is thrown into one documented problem, or into an error of the route's own protocol, and logs
 * it once: failures of the service as errors, those of the client at debug. Of an outage, which fails every request
 * alike, one request a minute is logged as an error, and the others at debug. The log gets the details, the client the
 * constant sentence of the code.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    private readonly logger: Logger,
    private readonly edgeHeaders: EdgeHeaders,
    private readonly outages: OnceAMinute,
  ) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(exception, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  /** Also answers failures before Nest is reached. */
  answer(exception: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const error = toDomainError(exception);
    this.log(error, request.id);
    if (reply.sent || reply.raw.headersSent) {
      // Half an answer cannot be taken back; a cut connection at least does not look like a whole one.
      reply.raw.destroy();
      return;
    }
    noteProblem(reply, error.code);
    const write = errorWriterOf(request);
    if (write === undefined) {
      sendProblem(reply, error, this.edgeHeaders);
    } else {
      write(reply, error);
    }
  }

  private log(error: DomainError, requestId: string): void {
    const fields = { code: error.code, request_id: requestId };
    if (error instanceof InternalError) {
      this.logger.error({ ...fields, err: error.cause }, 'request failed');
      return;
    }
    // Overload refuses many requests at once: a stack with each refusal would add work where there is too much.
    const isOutage = definitionOf(error.code).status >= 500 && !(error instanceof OverloadedError);
    // The messages are ours, with numbers such as an age in them.
    const untold = isOutage ? this.outages.tell(`${error.code} ${error.message.replace(/\d+/g, '#')}`) : undefined;
    if (untold === undefined) {
      this.logger.debug({ ...fields, reason: error.message }, 'request refused');
    } else {
      this.logger.error({ ...fields, err: error, ...(untold > 0 && { untold }) }, 'request failed');
    }
  }
}
