// GET /orders on two ports. PORT is public and verifies the access token here. INTERNAL_PORT trusts the identity
// headers of the gateway, so only the gateway may reach it.
import { createServer } from 'node:http';
import { createVerifier, toProblem, VerificationError } from '@ratchet/verifier';

const {
  AUTH_URL = 'http://127.0.0.1:3000',
  JWT_ISSUER = AUTH_URL,
  JWT_AUDIENCE = 'ratchet',
  HOST = '127.0.0.1',
  PORT = '4000',
  INTERNAL_HOST = '127.0.0.1',
  INTERNAL_PORT = '4001',
} = process.env;

const verifier = createVerifier({
  issuer: JWT_ISSUER,
  audience: JWT_AUDIENCE,
  baseUrl: AUTH_URL,
  revocations: 'follow',
  whenFeedIsStale: 'reject',
  // Refusals are the business of the clients; anyone can cause them.
  onEvent: (event) => event.event !== 'access_token_refused' && console.log(JSON.stringify(event)),
});

async function byToken(request) {
  const { userId, roles, sessionId } = await verifier.verifyRequest(request);
  return { user_id: userId, roles, session_id: sessionId, verified_by: 'token' };
}

/** The gateway sets all of these on every request it lets through, whatever the client sent. */
function byGateway({ headers }) {
  const roles = (headers['x-user-roles'] ?? '').split(',').filter((role) => role !== '');
  const userId = headers['x-user-id'];
  return userId && { user_id: userId, roles, session_id: headers['x-session-id'], verified_by: 'gateway' };
}

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** @param identify returns the caller's identity, or undefined without one */
function orders(identify) {
  return createServer(async (request, response) => {
    try {
      if (request.method === 'GET' && request.url === '/health') {
        answer(response, 200, { status: 'ok' });
      } else if (request.method !== 'GET' || request.url !== '/orders') {
        answer(response, 404, { code: 'not_found' });
      } else {
        const identity = await identify(request);
        const body = { identity, orders: [{ id: 1, item: 'a ratchet spanner' }] };
        answer(response, identity ? 200 : 403, identity ? body : { code: 'not_through_the_gateway' });
      }
    } catch (error) {
      const isRefusal = error instanceof VerificationError;
      const { status, headers, body } = isRefusal
        ? toProblem(error)
        : { status: 500, body: { code: 'internal_error' } };
      answer(response, status, body, headers);
    }
  });
}

await verifier.ready({ withinSeconds: 60 });
const servers = [
  [orders(byToken), PORT, HOST, 'public'],
  [orders(byGateway), INTERNAL_PORT, INTERNAL_HOST, 'internal'],
];
for (const [server, port, host, listener] of servers) {
  server.listen(Number(port), host, () => {
    console.log(JSON.stringify({ event: 'listening', listener, port: server.address().port }));
  });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    verifier.close();
    servers.forEach(([server]) => server.close());
  });
}
