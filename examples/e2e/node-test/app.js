import { createServer } from 'node:http';
import { createVerifier } from '@ratchet/verifier';
import { accessTokenOf, requireAccessToken } from '@ratchet/verifier/express';

/** Makes the service and what checks its tokens; close both. */
export async function createApp({ issuer, audience }) {
  const verifier = createVerifier({ issuer, audience, revocations: 'follow', whenFeedIsStale: 'reject' });
  await verifier.ready();
  const requireToken = requireAccessToken(verifier);
  const server = createServer((request, response) => {
    requireToken(request, response, () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ ordersOf: accessTokenOf(request).userId }));
    });
  });
  return { server, verifier };
}
