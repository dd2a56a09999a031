import { setTimeout as pause } from 'node:timers/promises';
import { HttpConnection } from './http-connection.mjs';
import { Latencies } from './latencies.mjs';

/**
 * Sends requests as fast as the server answers: every connection sends its next request when it has the answer to the
 * last one. That measures the highest rate; its latencies say little, because a slow server gets fewer requests.
 *
 * Ends when the last answer has arrived, so that no client's token is left in doubt; what arrives after `seconds` is
 * not counted.
 *
 * @param mostRequests ends it before `seconds` have passed
 * @returns {Promise<object>} rate in answers per second, latencies in ms, `answered`: all good answers, the late ones
 *   too, errors by status (0: connection lost)
 */
export async function runClosedLoop({ operation, port, connections, seconds, mostRequests = Infinity }) {
  const latencies = new Latencies();
  const errors = {};
  let sent = 0;
  let answered = 0;
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1_000;

  const runConnection = async () => {
    const connection = new HttpConnection(port);
    for (;;) {
      const sentAt = performance.now();
      if (sentAt >= endsAt || sent === mostRequests) {
        break;
      }
      sent += 1;
      const client = operation.takeClient();
      const answer = await connection.request(operation.requestOf(client));
      const now = performance.now();
      const isGood = operation.accept(client, answer);
      operation.returnClient(client);
      if (!isGood) {
        errors[answer.status] = (errors[answer.status] ?? 0) + 1;
        // A server that refuses everything should not keep the generator busy.
        await pause(5);
      } else {
        answered += 1;
        if (now <= endsAt) {
          latencies.add(now - sentAt);
        }
      }
    }
    connection.close();
  };

  await Promise.all(Array.from({ length: connections }, runConnection));
  const took = sent === mostRequests ? (performance.now() - startedAt) / 1_000 : seconds;
  return {
    rate: latencies.count / took,
    count: latencies.count,
    answered,
    latencyMs: latencies.summary(),
    errors,
  };
}
