import { INSIDE, type RatchetClient } from './client.js';
import { RatchetClientError, stepUpIn, UnavailableError } from './errors.js';
import type { Post } from './service.js';

/**
 * Asks as the user who is signed in, with the refresh and the repetition of `client.fetch`.
 *
 * @throws StepUpRequiredError, SignedOutError, UnavailableError
 */
export function asUser(client: RatchetClient, method = 'POST'): Post {
  const post = client[INSIDE].via(async (input, init) => {
    const response = await client.fetch(input, { ...init, method });
    const demand = stepUpIn(response);
    if (demand) {
      throw demand;
    }
    return response;
  });
  return (path, body) =>
    post(path, body).catch((error: unknown) => {
      // What the client or the line above has thrown is not a lost answer.
      throw error instanceof UnavailableError && error.cause instanceof RatchetClientError ? error.cause : error;
    });
}
