// What the page does by mail: the link that has opened it, and the code that it waits for.
import { createAccount, readAccountLink } from '@ratchet/client/account';
import { useEffect, useState } from 'preact/hooks';
import { client } from './session.js';

export const account = createAccount(client);

// Read before anything is drawn, and out of the address before anything else can read it.
let opened = { link: readAccountLink() };
const watchers = new Set();

function follow(next) {
  opened = next;
  watchers.forEach((watch) => watch(opened));
}

// A link that is opened in a tab that shows the page already loads nothing.
addEventListener('hashchange', () => {
  const link = readAccountLink();
  if (link !== undefined) {
    follow({ link });
  }
});

/** @param notice what the next view says about it */
export function closeLink(notice) {
  follow({ notice });
}

/** @returns link: undefined, or its purpose and token; notice: what has become of the last one */
export function useOpenedLink() {
  const [current, setCurrent] = useState(opened);
  useEffect(() => {
    watchers.add(setCurrent);
    setCurrent(opened);
    return () => watchers.delete(setCurrent);
  }, []);
  return current;
}

const PENDING = 'toolroom:pending';

/**
 * The code that the user is about to type. It is kept for this tab, because phones drop a page while its user reads mail, and
 * forgotten when the page goes on to another view. The ticket is good for nothing without the code.
 *
 * @param purposes those that the view can go on with
 * @returns undefined or { purpose, email, ticket }, and what sets it with `expiresInSeconds` or removes it
 */
export function usePendingCode(...purposes) {
  const [pending, setPending] = useState(readPending);
  function follow(next) {
    const kept = next && { ...next, endsAtMs: Date.now() + next.expiresInSeconds * 1_000 };
    try {
      sessionStorage.setItem(PENDING, JSON.stringify(kept ?? null));
    } catch {
      // Storage is blocked; the code can be typed as long as the page stays.
    }
    setPending(kept);
  }
  useEffect(() => () => follow(undefined), []);
  return [purposes.includes(pending?.purpose) ? pending : undefined, follow];
}

function readPending() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PENDING));
    return kept?.endsAtMs > Date.now() ? kept : undefined;
  } catch {
    return undefined;
  }
}
