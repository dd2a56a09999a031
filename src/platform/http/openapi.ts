import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../config/config.js';
import { type PublishedDocument, publish, sendPublished } from './published-document.js';

/** The name of the security scheme, for `@ApiBearerAuth(ACCESS_TOKEN_SCHEME)`. */
export const ACCESS_TOKEN_SCHEME = 'access-token';

/** The whole of Swagger UI that the page needs; nothing else of its package is served. */
const PAGE_ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE_OPTIONS = {
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // The schemas stand beside the routes that use them; the list of all of them starts folded.
  defaultModelsExpandDepth: 0,
};

/** Says whether `setupOpenApi` is called: unless `API_DOCS` decides, everywhere except in production. */
export function servesApiDocs({ http, runtime }: Pick<Config, 'http' | 'runtime'>): boolean {
  return http.apiDocs ?? runtime.environment !== 'production';
}

/**
 * Serves the OpenAPI 3.1 document and, from local files, a page that shows it. None of it is a Nest route, so no guard
 * asks for a token. All of it is revalidated on every load, so that no browser shows the documentation of an earlier
 * version. Each is made at its first request.
 */
export function setupOpenApi(app: NestFastifyApplication): void {
  const serve = (path: string, make: () => Promise<PublishedDocument>): void => {
    let document: Promise<PublishedDocument> | undefined;
    app
      .getHttpAdapter()
      .getInstance()
      .get(path, async (request, reply) => {
        document ??= make();
        reply.headers({ 'cache-control': 'no-cache', 'content-security-policy': "frame-ancestors 'none'" });
        sendPublished(reply, await document, request.headers['if-none-match']);
        return reply;
      });
  };

  serve('/openapi.json', async () =>
    publish('application/json; charset=utf-8', JSON.stringify(await describeRoutes(app))),
  );
  // Relative addresses, because a gateway may publish the page below a prefix.
  serve('/docs', () => Promise.resolve(publish('text/html; charset=utf-8', pageBelow('.'))));
  serve('/docs/', () => Promise.resolve(publish('text/html; charset=utf-8', pageBelow('..'))));
  const { resolve } = createRequire(import.meta.url);
  for (const [name, mediaType] of Object.entries(PAGE_ASSETS)) {
    serve(`/docs/${name}`, async () => publish(mediaType, await readFile(resolve(`swagger-ui-dist/${name}`))));
  }
}

async function describeRoutes(app: NestFastifyApplication): Promise<object> {
  const { DocumentBuilder, SwaggerModule } = await import('@nestjs/swagger');
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Ratchet')
    .setDescription(
      'Authentication: short-lived access tokens, refresh tokens that rotate on every use, and a logout that takes ' +
        'effect everywhere within a second.',
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
  return SwaggerModule.createDocument(app, description);
}

function pageBelow(root: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Ratchet API</title>
    <link rel="stylesheet" href="${root}/docs/swagger-ui.css" />
    <link rel="icon" type="image/png" href="${root}/docs/favicon-32x32.png" />
  </head>
  <body style="margin: 0">
    <div id="swagger-ui"></div>
    <script src="${root}/docs/swagger-ui-bundle.js"></script>
    <script>
      SwaggerUIBundle(${JSON.stringify({ url: `${root}/openapi.json`, ...PAGE_OPTIONS })});
    </script>
  </body>
</html>
`;
}
