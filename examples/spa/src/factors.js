// Second factors: the sign-in that waits for one, and the step-up that an action waits for.
import { createFactors, secondFactorIn, withStepUp } from '@ratchet/client/factors';
import { createPasskeys } from '@ratchet/client/passkeys';
import { useEffect, useState } from 'preact/hooks';
import { client } from './session.js';

export const factors = createFactors(client);
export const passkeys = createPasskeys(client);

/** A value that views follow. */
function makeStore(value) {
  const watchers = new Set();
  return {
    set(next) {
      value = next;
      watchers.forEach((watch) => watch(value));
    },
    use() {
      const [current, setCurrent] = useState(value);
      useEffect(() => {
        watchers.add(setCurrent);
        setCurrent(value);
        return () => watchers.delete(setCurrent);
      }, []);
      return current;
    },
  };
}

const pendingSignIn = makeStore();
const wishedStepUp = makeStore();

/** @returns undefined or { ticket, factors }: the first factor was right, and the page asks for the second */
export const usePendingSignIn = pendingSignIn.use;

/** @returns undefined or { done, cancel }: an action waits until the user has stepped up */
export const useWishedStepUp = wishedStepUp.use;

export function endPendingSignIn() {
  pendingSignIn.set(undefined);
}

/** Opens a session, or shows the second step if the user has a second factor. */
export async function signInBy(open) {
  try {
    await open();
    endPendingSignIn();
  } catch (error) {
    const pending = secondFactorIn(error);
    if (pending === undefined) {
      throw error;
    }
    pendingSignIn.set(pending);
  }
}

/**
 * Does what may need a recent sign-in, or a second factor: then the user is asked for it first.
 *
 * @returns whether it was done; not when the user does not go on
 */
export async function confirmed(act) {
  const isCancelled = Symbol();
  const prove = () =>
    new Promise((done, reject) => wishedStepUp.set({ done, cancel: () => reject(isCancelled) })).finally(() =>
      wishedStepUp.set(undefined),
    );
  try {
    await withStepUp(act, prove);
    return true;
  } catch (error) {
    if (error === isCancelled) {
      return false;
    }
    throw error;
  }
}
