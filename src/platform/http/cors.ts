import type { NestFastifyApplication } from '@nestjs/platform-fastify';

type CorsOptions = NonNullable<Parameters<NestFastifyApplication['enableCors']>[0]>;

const FOR_ALLOWED_ORIGINS = {
  methods: ['GET', 'HEAD', 'POST', 'DELETE'],
  // The wildcard is for what monitoring scripts add to every request (`traceparent`, `sentry-trace`, `baggage` and so on);
  // it does not cover Authorization (Fetch standard, CORS protocol).
  allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-Request-Id', '*'],
  exposedHeaders: ['Retry-After', 'WWW-Authenticate', 'X-Request-Id'],
  credentials: false,
  maxAge: 600,
};

/**
 * Grants exactly the listed origins and says nothing to any other: an origin is never reflected, and `null` (sandboxed
 * frames, local files) is never one of ours. Tokens travel in headers and bodies, so no credentials mode is needed.
 */
export function enableCors(app: NestFastifyApplication, origins: readonly string[]): void {
  if (origins.length === 0) {
    return;
  }
  const allowed = new Set(origins.filter((origin) => origin !== 'null'));
  const perRequest: CorsOptions = {
    delegator: (request, callback) => {
      const { origin, 'access-control-request-method': preflightFor } = request.headers;
      if (origin === undefined || !allowed.has(origin)) {
        callback(null, { origin: false });
        return;
      }
      // An OPTIONS request that is no preflight goes on to the router like any other.
      callback(null, { ...FOR_ALLOWED_ORIGINS, origin, preflight: preflightFor !== undefined });
    },
  };
  app.enableCors(perRequest);
}
