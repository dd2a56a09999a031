import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../config/config.js';

type CorsOptions = NonNullable<Parameters<NestFastifyApplication['enableCors']>[0]>;

const GRANT = {
  methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
  exposedHeaders: ['Retry-After', 'WWW-Authenticate', 'X-Request-Id'],
  maxAge: 600,
};

const FOR_CORS_ORIGINS: CorsOptions = {
  ...GRANT,
  credentials: false,
  // The wildcard is for what monitoring scripts add to every request (`traceparent`, `sentry-trace`, `baggage` and so on);
  // it does not cover Authorization (Fetch standard, CORS protocol).
  allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-Request-Id', '*'],
};

/**
 * With credentials a wildcard would be a name like any other (the same place): what a preflight asks for is allowed, which
 * is what the plugin does by default.
 */
const FOR_COOKIE_ORIGINS: CorsOptions = { ...GRANT, credentials: true };

/**
 * Grants exactly the listed origins and says nothing to any other: an origin is never reflected, and `null` (sandboxed
 * frames, local files) is never one of ours. Only cookie origins may send credentials; of all others, tokens travel in
 * headers and bodies.
 */
export function enableCors(app: NestFastifyApplication, { http, cookies }: Pick<Config, 'http' | 'cookies'>): void {
  const grants = new Map([
    ...http.corsOrigins.map((origin) => [origin, FOR_CORS_ORIGINS] as const),
    ...cookies.origins.map((origin) => [origin, FOR_COOKIE_ORIGINS] as const),
  ]);
  grants.delete('null');
  if (grants.size === 0) {
    return;
  }
  const perRequest: CorsOptions = {
    delegator: (request, callback) => {
      const { origin = '', 'access-control-request-method': preflightFor } = request.headers;
      const grant = grants.get(origin);
      // An OPTIONS request that is no preflight goes on to the router like any other.
      callback(
        null,
        grant === undefined ? { origin: false } : { ...grant, origin, preflight: preflightFor !== undefined },
      );
    },
  };
  app.enableCors(perRequest);
}
