import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

/** The name of the security scheme, for `@ApiBearerAuth(ACCESS_TOKEN_SCHEME)`. */
export const ACCESS_TOKEN_SCHEME = 'access-token';

const DOCUMENT_PATH = '/openapi.json';
const DOCS_PATH = '/docs';

/**
 * Serves the OpenAPI 3.1 document and, from local files, Swagger UI. Neither is a Nest route, so no guard asks for a
 * token. Both are revalidated on every load, so that nobody reads the documentation of an earlier version.
 */
export function setupOpenApi(app: NestFastifyApplication): void {
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Ratchet')
    .setDescription(
      'Authentication: short-lived access tokens, refresh tokens that rotate on every use, and a logout that means now.',
    )
    .setVersion('1.0')
    .addTag('auth', 'Sign up, sign in, refresh, sign out')
    .addTag('sessions', "The user's own sessions")
    .addTag('oauth', 'The same for standard OAuth clients')
    .addTag('gateway', 'What API gateways ask')
    .addTag('keys', 'Public keys for verifiers')
    .addTag('health', 'Probes for operators')
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The `access_token` of a login or refresh.' },
      ACCESS_TOKEN_SCHEME,
    )
    .build();

  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRequest', (request, reply, done) => {
      if (request.url === DOCUMENT_PATH || request.url === DOCS_PATH || request.url.startsWith(`${DOCS_PATH}/`)) {
        reply.header('cache-control', 'no-cache');
      }
      done();
    });
  SwaggerModule.setup(DOCS_PATH, app, () => SwaggerModule.createDocument(app, description), {
    jsonDocumentUrl: DOCUMENT_PATH,
    raw: ['json'],
    explorer: false,
    customSiteTitle: 'Ratchet API',
    customCss: '.swagger-ui .topbar { display: none }',
    swaggerOptions: {
      persistAuthorization: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      // The schemas stand beside the routes that use them; the list of all of them starts folded.
      defaultModelsExpandDepth: 0,
    },
  });
}
