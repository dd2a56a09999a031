// The one client of the page, and what the views need of it.
import { createClient } from '@ratchet/client';
import { useEffect, useState } from 'preact/hooks';

// The gateway serves the page, Ratchet and the backends at one origin.
export const client = createClient({ baseUrl: location.origin, mode: 'cookie' });

// From the first moment, so that no event is missed while the page is drawn.
let session = { state: client.state, isAway: false };
const watchers = new Set();

function follow(change) {
  session = { ...session, ...change };
  watchers.forEach((watch) => watch(session));
}

client.on('signed_in', () => follow({ state: 'signed_in', isAway: false }));
client.on('signed_out', ({ reason }) => follow({ state: 'signed_out', reason, before: session.state, isAway: false }));
// The client tries again by itself, for as long as a request needs a token.
client.on('unavailable', () => follow({ isAway: true }));
client.on('refreshed', () => follow({ isAway: false }));

/**
 * Follows the session, also when another tab changes it.
 *
 * @returns state: unknown, signed_in or signed_out; isAway: whether the service did not answer to the last refresh; when a
 *   session has ended, reason: why, and before: the state until then
 */
export function useSession() {
  const [current, setCurrent] = useState(session);
  useEffect(() => {
    watchers.add(setCurrent);
    setCurrent(session);
    return () => watchers.delete(setCurrent);
  }, []);
  return current;
}
