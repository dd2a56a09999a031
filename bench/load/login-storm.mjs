import { setTimeout as pause } from 'node:timers/promises';
import { HttpConnection } from './http-connection.mjs';
import { Latencies } from './latencies.mjs';

/**
 * Clients that log in, each on its own connection. A refused client retries after the time in `Retry-After`; an
 * accepted one starts again at once.
 *
 * @param afterSeconds when it begins
 * @param ignoreSeconds at its start: what is answered in them is not counted
 * @returns {Promise<object>} latencies in ms of the accepted and of the rejected (503), errors by status
 */
export async function runLoginStorm({ operation, port, clients, seconds, afterSeconds, ignoreSeconds }) {
  await pause(afterSeconds * 1_000);
  const accepted = new Latencies();
  const rejected = new Latencies();
  const errors = {};
  const countsFrom = performance.now() + ignoreSeconds * 1_000;
  const endsAt = countsFrom + seconds * 1_000;

  const runClient = async () => {
    const connection = new HttpConnection(port);
    for (;;) {
      const sentAt = performance.now();
      if (sentAt >= endsAt) {
        break;
      }
      const client = operation.takeClient();
      const answer = await connection.request(operation.requestOf(client));
      const now = performance.now();
      const isCounted = now >= countsFrom && now <= endsAt;
      const isGood = operation.accept(client, answer);
      operation.returnClient(client);
      if (isGood) {
        if (isCounted) {
          accepted.add(now - sentAt);
        }
      } else if (answer.status === 503) {
        if (isCounted) {
          rejected.add(now - sentAt);
        }
        const returnsInMs = (answer.retryAfterSeconds ?? 1) * 1_000;
        if (now + returnsInMs >= endsAt) {
          break;
        }
        await pause(returnsInMs);
      } else {
        errors[answer.status] = (errors[answer.status] ?? 0) + 1;
        await pause(50);
      }
    }
    connection.close();
  };

  await Promise.all(Array.from({ length: clients }, runClient));
  return {
    acceptedRate: accepted.count / seconds,
    rejectedRate: rejected.count / seconds,
    acceptedMs: accepted.summary(),
    rejectedMs: rejected.summary(),
    errors,
  };
}
