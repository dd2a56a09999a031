import { createReadStream } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { createVerifier } from '@ratchet/verifier';
import { accessTokenOf, requireAccessToken } from '@ratchet/verifier/express';

const FILES = { '/': ['page.html', 'text/html'], '/session.js': ['session.js', 'text/javascript'] };

/**
 * Makes the page's server and what checks its tokens; close both. It passes `/auth` on to Ratchet, as a gateway does.
 *
 * @param now a test moves it together with the clock of its namespace
 */
export async function createApp({ url, issuer, audience, now = () => new Date() }) {
  const verifier = createVerifier({ issuer, audience, revocations: 'follow', whenFeedIsStale: 'reject', now });
  await verifier.ready();
  const requireToken = requireAccessToken(verifier);
  const server = createServer((request, response) => {
    const [file, type] = FILES[request.url] ?? [];
    if (file !== undefined) {
      response.setHeader('content-type', type);
      createReadStream(new URL(file, import.meta.url)).pipe(response);
    } else if (request.url.startsWith('/auth/')) {
      passOn(request, response, url);
    } else {
      requireToken(request, response, () => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ ordersOf: accessTokenOf(request).userId }));
      });
    }
  });
  return { server, verifier };
}

function passOn(request, response, url) {
  const { host: _own, ...headers } = request.headers;
  const question = ask(`${url}${request.url}`, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  question.on('error', () => response.destroy());
  request.pipe(question);
}
