import { HttpConnection } from './http-connection.mjs';
import { Latencies } from './latencies.mjs';
import { randomOf } from './random.mjs';

/** Connections, kept alive like a gateway's. An arrival that finds none free waits for one, and the wait counts. */
const CONNECTIONS = 64;

/** The limit where every arrival opens a connection; a server with more open ones is far past its own limit. */
const MOST_FRESH_CONNECTIONS = 512;

/** How long answers are waited for after the last arrival; what is missing then counts with the time it has waited. */
const PATIENCE_MS = 10_000;

/**
 * Requests arrive at random (Poisson) at a given rate, whatever the server does, as those of many independent clients
 * do. A latency counts from the instant at which the request was to arrive, so that neither a slow server nor a late
 * generator hides waiting (no coordinated omission). The sequence of arrivals is the same for every server.
 *
 * The connections are made, and have had an answer each, before the first arrival: a server accepts new ones the more
 * slowly the more it has to do, which is measured by `freshConnections` only.
 *
 * @param rate arrivals per second
 * @param ignoreSeconds at the start, not counted
 * @param freshConnections opens a connection for each request instead; the latency includes opening it
 * @returns {Promise<object>} rate in good answers per second, latencies in ms, `latenessMs`: how late the generator
 *   itself was, which is part of the latencies
 */
export async function runOpenLoop({
  operation,
  port,
  rate,
  seconds,
  ignoreSeconds = 0,
  freshConnections = false,
  seed = 1,
}) {
  const random = randomOf(seed);
  const latencies = new Latencies();
  const lateness = new Latencies();
  const errors = {};
  const idle = freshConnections ? [] : await openConnections(operation, port);
  const mostOpen = freshConnections ? MOST_FRESH_CONNECTIONS : idle.length;
  const due = [];
  const startedAt = performance.now();
  const countsFrom = startedAt + ignoreSeconds * 1_000;
  const endsAt = countsFrom + seconds * 1_000;
  const waitingSince = new Set();
  let opened = idle.length;
  let nextArrival = startedAt + gapMs();

  function gapMs() {
    return (-Math.log(1 - random()) * 1_000) / rate;
  }

  async function send(connection, client, arrival) {
    if (arrival.at >= countsFrom) {
      lateness.add(performance.now() - arrival.at);
    }
    const answer = await connection.request(operation.requestOf(client));
    const isGood = operation.accept(client, answer);
    operation.returnClient(client);
    if (freshConnections) {
      connection.close();
      opened -= 1;
    } else {
      idle.push(connection);
    }
    waitingSince.delete(arrival);
    if (arrival.at >= countsFrom) {
      if (isGood) {
        latencies.add(performance.now() - arrival.at);
      } else {
        errors[answer.status] = (errors[answer.status] ?? 0) + 1;
      }
    }
    dispatch();
  }

  function dispatch() {
    while (due.length > 0 && (idle.length > 0 || opened < mostOpen)) {
      const client = operation.takeClient();
      if (client === undefined) {
        return;
      }
      let connection = idle.pop();
      if (connection === undefined) {
        opened += 1;
        connection = new HttpConnection(port);
      }
      void send(connection, client, due.shift());
    }
  }

  await new Promise((resolve) => {
    const tick = () => {
      const now = performance.now();
      for (; nextArrival <= now && nextArrival < endsAt; nextArrival += gapMs()) {
        const arrival = { at: nextArrival };
        due.push(arrival);
        waitingSince.add(arrival);
      }
      dispatch();
      if (nextArrival >= endsAt && (waitingSince.size === 0 || now > endsAt + PATIENCE_MS)) {
        resolve();
      } else {
        setTimeout(tick, 1);
      }
    };
    tick();
  });

  for (const { at } of waitingSince) {
    latencies.add(performance.now() - at);
  }
  const unanswered = waitingSince.size;
  idle.forEach((connection) => connection.close());
  return {
    offeredRate: rate,
    rate: (latencies.count - unanswered) / seconds,
    count: latencies.count,
    unanswered,
    latencyMs: latencies.summary(),
    latenessMs: lateness.summary(),
    errors,
  };
}

/** Opens as many connections as there are clients for, each with one answer behind it. */
async function openConnections(operation, port) {
  const clients = Array.from({ length: CONNECTIONS }, () => operation.takeClient()).filter(
    (client) => client !== undefined,
  );
  return Promise.all(
    clients.map(async (client) => {
      const connection = new HttpConnection(port);
      operation.accept(client, await connection.request(operation.requestOf(client)));
      operation.returnClient(client);
      return connection;
    }),
  );
}
