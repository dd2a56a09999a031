import { RefusedError, UnavailableError } from './errors.js';
import type { PendingTicket } from './options.js';
import { timeLimit } from './platform.js';

const REQUEST_MS = 10_000;

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds: number | undefined;
}

interface Sending {
  readonly key?: string;
  readonly bearer?: string | undefined;
  /** The page may be left before the answer. */
  readonly keepalive?: boolean;
  readonly limitMs?: number;
}

/**
 * Sends JSON to a route of the service.
 *
 * @throws UnavailableError for no answer, and for one that was cut off
 */
export type Post = (path: string, body: object | undefined, sending?: Sending) => Promise<Answer>;

export function poster(baseUrl: string, fetch: typeof globalThis.fetch, credentials: 'include' | 'omit'): Post {
  return async (path, body, { key, bearer, keepalive = false, limitMs = REQUEST_MS } = {}) => {
    const limit = timeLimit(limitMs);
    try {
      const init = {
        method: 'POST',
        headers: {
          ...(body && { 'content-type': 'application/json' }),
          ...(key !== undefined && { 'idempotency-key': key }),
          ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        },
        ...(body && { body: JSON.stringify(body) }),
        credentials,
        redirect: 'error',
        cache: 'no-store',
        keepalive,
        signal: limit.signal,
      } as const;
      const response = await fetch(baseUrl + path, init);
      const text = await response.text();
      const after = response.headers.get('retry-after') ?? '';
      return {
        status: response.status,
        body: readObject(text),
        retryAfterSeconds: /^\d{1,7}$/.test(after) ? Number(after) : undefined,
      };
    } catch (cause) {
      throw new UnavailableError('no answer', { cause });
    } finally {
      limit.end();
    }
  };
}

export function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

export function refusal({ status, body, retryAfterSeconds }: Answer): RefusedError {
  return new RefusedError(String(body['code']), status, body, retryAfterSeconds);
}

export function unavailable(answer: Answer): UnavailableError {
  return new UnavailableError(
    `the service answered ${answer.status}`,
    { cause: refusal(answer) },
    answer.retryAfterSeconds,
  );
}

/** @throws UnavailableError for what is not an answer of the service to this request */
export function accepted(answer: Answer, status: number): Answer['body'] {
  const { code } = answer.body;
  if (answer.status === status && code === undefined) {
    return answer.body;
  }
  throw answer.status < 500 && typeof code === 'string' ? refusal(answer) : unavailable(answer);
}

/** @throws as `accepted` */
export function ticketIn(answer: Answer): PendingTicket {
  const { ticket, expires_in } = accepted(answer, 202) as { readonly ticket: string; readonly expires_in: number };
  return { ticket, expiresInSeconds: expires_in };
}

const REPEATABLE = /^access_token_(?:expired|revoked|invalid|missing)$/;

/** Whether a resource has refused the access token, by our codes or by RFC 6750 section 3.1. */
export async function isRefused(response: Response): Promise<boolean> {
  if (/\bbearer\b.*\berror="invalid_token"/i.test(response.headers.get('www-authenticate') ?? '')) {
    return true;
  }
  return (
    /json/.test(response.headers.get('content-type') ?? '') &&
    REPEATABLE.test(String(readObject(await response.clone().text())['code']))
  );
}
