// Requests to what the gateway serves.
import { useEffect, useState } from 'preact/hooks';
import { client } from './session.js';
import { isTemporary, ProblemError } from './problems.js';

const LONGEST_PAUSE_MS = 15_000;

/**
 * @returns the body of the answer, undefined if it has none
 * @throws ProblemError for an answer that is none of 2xx, and what the client throws
 */
export async function call(path, init) {
  const response = await client.fetch(new URL(path, location.origin), init).catch((error) => {
    // That is how `fetch` tells that there is no network.
    throw error instanceof TypeError ? new ProblemError(0, { code: 'unavailable' }) : error;
  });
  if (!response.ok) {
    throw await ProblemError.of(response);
  }
  return response.status === 204 ? undefined : response.json();
}

/** What a GET answers. While the service is away, the last answer stays and the request is repeated. */
export function useResource(path) {
  const [state, setState] = useState({});
  const [wish, setWish] = useState(0);
  useEffect(() => {
    const aborter = new AbortController();
    const { signal } = aborter;
    let pauseMs = 1_000;
    let timer;
    async function load() {
      try {
        const data = await call(path, { signal });
        setState({ data });
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        setState(({ data }) => ({ data, error }));
        if (isTemporary(error)) {
          timer = setTimeout(load, Math.max(pauseMs, (error.retryAfterSeconds ?? 0) * 1_000));
          pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
        }
      }
    }
    void load();
    return () => {
      aborter.abort();
      clearTimeout(timer);
    };
  }, [path, wish]);
  return { ...state, reload: () => setWish((count) => count + 1) };
}
