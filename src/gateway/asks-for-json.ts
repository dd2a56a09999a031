import type { IncomingHttpHeaders } from 'node:http';

const NAMES_JSON = /(?:^|,)[ \t]*application\/json[ \t]*(?:[,;]|$)/i;

/**
 * Tells whether `Accept` names `application/json` itself. A wildcard does not count: clients send it by themselves, and
 * the gateways that pass it on expect no body.
 */
export function asksForJson({ accept }: Pick<IncomingHttpHeaders, 'accept'>): boolean {
  return accept !== undefined && NAMES_JSON.test(accept);
}
