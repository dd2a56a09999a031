// Tests the load generator against servers whose behaviour is known. Run by `npm test` in bench/.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { runClosedLoop } from './closed-loop.mjs';
import { runLoginStorm } from './login-storm.mjs';
import { runOpenLoop } from './open-loop.mjs';
import { Operation } from './operation.mjs';

/** Calls `measure` with the port of a server that answers by `listener`. */
async function withServer(listener, measure) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await measure(server.address().port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const get = (credentials = Array(8).fill('')) => new Operation({ method: 'GET', path: '/', credentials });

test('a server that stands still for a moment makes every request that was due meanwhile late', async () => {
  let stallUntil = 0;
  const result = await withServer(
    (_request, response) => setTimeout(() => response.end(), Math.max(0, stallUntil - performance.now())),
    (port) => {
      setTimeout(() => (stallUntil = performance.now() + 500), 350);
      return runOpenLoop({ operation: get(Array(512).fill('')), port, rate: 200, seconds: 1 });
    },
  );
  // Half of the requests were due in the half second, so half of them waited for a quarter of a second on average.
  assert.ok(result.latencyMs.p90 > 300, `p90 ${result.latencyMs.p90}`);
  assert.ok(result.count > 150 && result.count < 250, `${result.count} arrivals`);
});

test('connections are made before the first arrival, unless each is to bring its own', async () => {
  const count = async (freshConnections) => {
    const connections = new Set();
    const result = await withServer(
      (request, response) => {
        connections.add(request.socket);
        response.end();
      },
      (port) => runOpenLoop({ operation: get(), port, rate: 100, seconds: 0.5, freshConnections }),
    );
    return { connections: connections.size, arrivals: result.count };
  };
  assert.equal((await count(false)).connections, 8);
  const fresh = await count(true);
  assert.equal(fresh.connections, fresh.arrivals);
});

test('requests that find no free client wait, and the waiting counts', async () => {
  const result = await withServer(
    (_request, response) => setTimeout(() => response.end(), 20),
    (port) => runOpenLoop({ operation: get(['']), port, rate: 100, seconds: 1 }),
  );
  // One client at 50 a second cannot serve 100: the last has waited for half of the time.
  assert.ok(result.latencyMs.max > 400, `max ${result.latencyMs.max}`);
});

test('the closed loop counts good answers only, and says how many were not', async () => {
  let requests = 0;
  const result = await withServer(
    (_request, response) => {
      requests += 1;
      response.writeHead(requests % 4 === 0 ? 500 : 200).end();
    },
    (port) => runClosedLoop({ operation: get(), port, connections: 4, seconds: 0.5 }),
  );
  assert.equal(result.answered + result.errors[500], requests);
  assert.ok(result.errors[500] > 0);
});

test('the closed loop ends early where every credential is good for one request', async () => {
  let requests = 0;
  const result = await withServer(
    (_request, response) => {
      requests += 1;
      setTimeout(() => response.end(), 10);
    },
    (port) => runClosedLoop({ operation: get(), port, connections: 4, seconds: 30, mostRequests: 40 }),
  );
  assert.equal(requests, 40);
  assert.equal(result.count, 40);
  // Four at a time, each of at least ten milliseconds.
  assert.ok(result.rate < 400, `rate ${result.rate}`);
});

test('a token is presented once, and its successor by the same client next', async () => {
  const current = new Map();
  const reused = [];
  const operation = new Operation({
    method: 'POST',
    path: '/',
    place: 'json',
    body: '{"refresh_token":"$"}',
    successor: 'refresh_token',
    credentials: Array.from({ length: 50 }, (_, index) => `${index}.0`),
  });
  const result = await withServer(
    async (request, response) => {
      let body = '';
      for await (const chunk of request) {
        body += chunk;
      }
      const [family, generation] = JSON.parse(body).refresh_token.split('.').map(Number);
      if (generation !== (current.get(family) ?? 0)) {
        reused.push(family);
      }
      current.set(family, generation + 1);
      response.end(JSON.stringify({ refresh_token: `${family}.${generation + 1}` }));
    },
    (port) => runClosedLoop({ operation, port, connections: 8, seconds: 0.5 }),
  );
  assert.deepEqual(reused, []);
  assert.deepEqual(result.errors, {});
  const generations = [...current.values()];
  assert.equal(generations.length, 50);
  assert.equal(
    generations.reduce((sum, generation) => sum + generation, 0),
    result.answered,
  );
  assert.ok(Math.max(...generations) - Math.min(...generations) <= 2, 'families take turns');
});

test('an answer in pieces and a chunked one are read to their end', async () => {
  const operation = new Operation({ method: 'GET', path: '/', successor: 'token', credentials: ['a'] });
  const result = await withServer(
    (_request, response) => {
      response.write('{"token":');
      setTimeout(() => response.end('"b"}'), 5);
    },
    (port) => runClosedLoop({ operation, port, connections: 1, seconds: 0.2 }),
  );
  assert.ok(result.answered > 5);
  assert.deepEqual(result.errors, {});
});

test('a stormer waits as long as Retry-After says', async () => {
  let requests = 0;
  const result = await withServer(
    (_request, response) => {
      requests += 1;
      response.writeHead(503, { 'retry-after': '1' }).end();
    },
    (port) => runLoginStorm({ operation: get(), port, clients: 4, afterSeconds: 0, ignoreSeconds: 0, seconds: 2.5 }),
  );
  assert.equal(requests, 12);
  assert.equal(result.acceptedRate, 0);
});
