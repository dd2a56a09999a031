import type { DynamicModule, NestApplicationOptions, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Clock } from './platform/common/clock.js';
import type { Config } from './platform/config/config.js';
import {
  BODY_LIMIT_BYTES,
  closeBeforeUnreadBody,
  endIfBodyIsOutstanding,
  ignoreTypeOfEmptyBodies,
  registerBodyParsers,
} from './platform/http/body-parser.js';
import { enableCors } from './platform/http/cors.js';
import {
  answerParserError,
  refuseExcessiveRequests,
  refuseUncollectedHeaders,
  takeOverNodeAnswers,
} from './platform/http/early-refusals.js';
import { routeForwardAuth } from './platform/http/forward-auth.js';
import { drainOnClose } from './platform/http/drain.js';
import { readForwardedFor } from './platform/http/forwarded-for.js';
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from './platform/http/http-limits.js';
import { setupOpenApi } from './platform/http/api-docs.js';
import { servesApiDocs } from './platform/http/openapi.js';
import { ProblemFilter } from './platform/http/problems/problem.filter.js';
import { logRequest, logRequests } from './platform/http/request-log.js';
import { addResponseHeaders, type EdgeHeaders, edgeHeadersOf, requestIdFor } from './platform/http/response-headers.js';
import { refuseUnmatchedRequests } from './platform/http/route-table.js';
import { BodyValidationPipe } from './platform/http/validation.pipe.js';
import { NestLogger } from './platform/logging/nest.logger.js';
import { OnceAMinute } from './platform/logging/once-a-minute.js';

/**
 * Builds the application as it runs in production, without listening; both main.ts and the e2e tests start from it.
 * The HTTP edge is configured nowhere else.
 *
 * @throws if the application cannot be built; the caller decides about the process
 */
export async function createApp(
  module: DynamicModule | Type,
  config: Pick<Config, 'http' | 'cookies' | 'runtime' | 'accessTokens' | 'passwords'>,
  logger: Logger,
  limits: HttpLimits = DEFAULT_HTTP_LIMITS,
): Promise<NestFastifyApplication> {
  const edgeHeaders = edgeHeadersOf(config.http);
  const onceAMinute = new OnceAMinute(new Clock());
  const filter = new ProblemFilter(logger, edgeHeaders, onceAMinute);
  const adapter = createAdapter(config, logger, limits, filter, edgeHeaders);
  // Before Nest: the hooks must see every route, and run in this order.
  const instance = adapter.getInstance();
  addResponseHeaders(instance, edgeHeaders);
  readForwardedFor(instance, logger, onceAMinute);
  refuseExcessiveRequests(instance, limits.maxUnansweredRequests);
  logRequests(instance, logger, onceAMinute);
  takeOverNodeAnswers(instance);
  ignoreTypeOfEmptyBodies(instance);
  refuseUncollectedHeaders(instance, limits.maxHeaderCount);
  refuseUnmatchedRequests(instance);
  registerBodyParsers(instance);
  closeBeforeUnreadBody(instance);
  drainOnClose(instance, logger, limits.drainDeadlineMs);

  const options: Readonly<NestApplicationOptions> = {
    logger: new NestLogger(logger),
    bodyParser: false,
    abortOnError: false,
  };
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, options);
  app.useGlobalFilters(filter);
  app.useGlobalPipes(new BodyValidationPipe());
  enableCors(app, config);
  if (servesApiDocs(config)) {
    setupOpenApi(app, config);
  }
  return app;
}

function createAdapter(
  config: Pick<Config, 'http'>,
  logger: Logger,
  limits: HttpLimits,
  filter: ProblemFilter,
  edgeHeaders: EdgeHeaders,
): FastifyAdapter {
  const { trustedProxies, keepAliveSeconds } = config.http;
  return new FastifyAdapter({
    logger: false,
    // Nest middleware is not used: guards decide, because a path has more spellings than middleware matches.
    skipMiddie: true,
    multipart: false,
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    requestIdHeader: false,
    rewriteUrl: routeForwardAuth,
    genReqId: requestIdFor,
    bodyLimit: BODY_LIMIT_BYTES,
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      endIfBodyIsOutstanding(request, reply);
      filter.answer(error, request, reply);
      logRequest(logger, request, reply);
    },
    clientErrorHandler: (error, socket) => {
      answerParserError(error, socket, logger, edgeHeaders);
    },
    // DTOs describe bodies: no route has a schema, and compilers that nothing uses would be loaded at every start.
    schemaController: { compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema } },
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.connectionTimeoutMs,
    keepAliveTimeout: keepAliveSeconds * 1000,
    http: {
      requireHostHeader: false,
      maxHeaderSize: limits.maxHeaderBytes,
      requestTimeout: limits.requestTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckIntervalMs,
    },
    forceCloseConnections: 'idle',
    // A request that arrives on an open connection while the others drain is served like them, and its connection
    // closed.
    return503OnClosing: false,
  });
}

function refuseSchema(): never {
  throw new Error('a route has a schema of Fastify, and no compiler is set up');
}
