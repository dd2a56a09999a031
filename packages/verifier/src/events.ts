/** What an operator may want in a log. None of it needs a hand: the verifier goes on by itself. */
export type VerifierEvent =
  | { readonly event: 'keys_changed'; readonly kids: readonly string[] }
  | { readonly event: 'keys_not_loaded'; readonly reason: string }
  /** Once per outage, at the first failure; requests are judged as before until the bound is reached. */
  | { readonly event: 'revocations_lost'; readonly reason: string }
  | { readonly event: 'revocations_restored' };

export type EventSink = (event: VerifierEvent) => void;

/** Away from the caller's stack: a listener that throws is the process's problem and not a failed poll. */
export function tellLater(listener: EventSink | undefined): EventSink {
  return (event) => {
    if (listener !== undefined) {
      queueMicrotask(() => {
        listener(event);
      });
    }
  };
}
