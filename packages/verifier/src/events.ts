import type { VerificationErrorCode } from './errors.js';

/** Events for an operator's log. The verifier recovers from all of them by itself. */
export type VerifierEvent =
  | { readonly event: 'keys_changed'; readonly kids: readonly string[] }
  | { readonly event: 'keys_not_loaded'; readonly reason: string }
  /** Once per outage, at the first failure. Requests are judged as before until `maxStalenessSeconds` is reached. */
  | { readonly event: 'revocations_lost'; readonly reason: string }
  | { readonly event: 'revocations_restored' }
  /** For every refusal, so count them. The reason names what was expected and received, and never a token. */
  | { readonly event: 'access_token_refused'; readonly code: VerificationErrorCode; readonly reason: string };

export type EventSink = (event: VerifierEvent) => void;

/** Calls the listener outside the caller's stack, so that a listener that throws does not look like a failed poll. */
export function tellLater(listener: EventSink | undefined): EventSink {
  return (event) => {
    if (listener !== undefined) {
      queueMicrotask(() => {
        listener(event);
      });
    }
  };
}
