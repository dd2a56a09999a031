import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../config/config.js';
import { ACCESS_TOKEN_SCHEME } from './openapi.js';
import { type PublishedDocument, publish, sendPublished } from './published-document.js';

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

/**
 * Serves the OpenAPI 3.1 document and, from local files, a page that shows it. None of it is a Nest route, so no guard
 * asks for a token. All of it is revalidated on every load, so that no browser shows the documentation of an earlier
 * version. Each is made at its first request.
 */
export function setupOpenApi(
  app: NestFastifyApplication,
  config: Pick<Config, 'accessTokens' | 'cookies' | 'passwords'>,
): void {
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

  serve('/openapi.json', async () => {
    const { describeApi } = await import('./openapi.document.js');
    return publish('application/json; charset=utf-8', JSON.stringify(describeApi(app, config)));
  });
  // Relative addresses, because a gateway may publish the page below a prefix.
  serve('/docs', () => Promise.resolve(publish('text/html; charset=utf-8', pageBelow('.'))));
  serve('/docs/', () => Promise.resolve(publish('text/html; charset=utf-8', pageBelow('..'))));
  const { resolve } = createRequire(import.meta.url);
  for (const [name, mediaType] of Object.entries(PAGE_ASSETS)) {
    serve(`/docs/${name}`, async () => publish(mediaType, await readFile(resolve(`#swagger-ui/${name}`))));
  }
}

/** No answer has links; and what stands side by side on a wide screen stands one below the other on a phone. */
const PAGE_STYLE = `
      .swagger-ui .response-col_links { display: none }
      @media (max-width: 640px) {
        .swagger-ui .btn-group, .swagger-ui .opblock-section-header { flex-wrap: wrap }
        .swagger-ui .responses-inner { overflow-x: auto }
        .swagger-ui .opblock-section-request-body td { display: block; width: auto }
      }`;

function pageBelow(root: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Ratchet API</title>
    <link rel="stylesheet" href="${root}/docs/swagger-ui.css" />
    <style>${PAGE_STYLE}
    </style>
    <link rel="icon" type="image/png" href="${root}/docs/favicon-32x32.png" />
  </head>
  <body style="margin: 0">
    <div id="swagger-ui"></div>
    <script src="${root}/docs/swagger-ui-bundle.js"></script>
    <script type="module">
      const spec = await (await fetch('${root}/openapi.json')).json();
      // The instance that serves the page: the address that the document names may be another origin's.
      spec.servers = [{ url: new URL('${root}', location).href.replace(/\\/$/, '') }];
      spec.components.securitySchemes['${ACCESS_TOKEN_SCHEME}'].description =
        'Execute "POST /auth/login" to sign this page in, or paste an access token. A reload forgets it.';
      const signIn = (answer) => {
        if (answer.ok && answer.obj?.access_token) {
          ui.preauthorizeApiKey('${ACCESS_TOKEN_SCHEME}', answer.obj.access_token);
        }
        return answer;
      };
      const ui = SwaggerUIBundle({ spec, responseInterceptor: signIn, ...${JSON.stringify(PAGE_OPTIONS)} });
    </script>
  </body>
</html>
`;
}
