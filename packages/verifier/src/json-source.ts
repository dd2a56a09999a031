import type { FetchAnswer, Runtime } from './runtime.js';

export interface JsonAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  /** Undefined unless the status is 200. */
  readonly body: unknown;
}

/**
 * Fetches a JSON document. Follows no redirect: the operator decides where keys and revocations come from.
 *
 * @param closing ends the request when the verifier is closed
 * @throws the error of `fetch` or of the parser; also when the whole answer does not arrive in time, or is too long
 */
export async function getJson(
  runtime: Runtime,
  url: string,
  request: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly mostBytes: number;
    readonly closing: AbortSignal;
  },
): Promise<JsonAnswer> {
  const abortion = new AbortController();
  const abort = (): void => {
    abortion.abort();
  };
  // Not AbortSignal.any: on Node 20, each signal made from a long-lived one stays in memory as long as that one.
  request.closing.addEventListener('abort', abort);
  const done = new AbortController();
  void runtime.pause(request.timeoutMs, done.signal).then(abort);
  try {
    const { status, headers, text } = await read(runtime, url, request, abortion.signal);
    return {
      status,
      header: (name) => headers.get(name) ?? undefined,
      body: status === 200 ? (JSON.parse(text) as unknown) : undefined,
    };
  } finally {
    done.abort();
    // What was not read of an answer that is too long.
    abort();
    request.closing.removeEventListener('abort', abort);
  }
}

async function read(
  { fetch }: Runtime,
  url: string,
  { headers = {}, mostBytes }: { readonly headers?: Readonly<Record<string, string>>; readonly mostBytes: number },
  signal: AbortSignal,
): Promise<{ status: number; headers: { get(name: string): string | null }; text: string }> {
  const answer = await fetch(url, {
    headers: { accept: 'application/json, application/jwk-set+json', ...headers },
    signal,
    redirect: 'error',
    cache: 'no-store',
  });
  return { status: answer.status, headers: answer.headers, text: await readText(answer, mostBytes) };
}

/** Reads no more than the limit into memory, unless a `fetch` of the caller's has no `body` to read piece by piece. */
async function readText(answer: FetchAnswer, mostBytes: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.body ?? wholeOf(answer)) {
    pieces.push(piece);
    bytes += piece.byteLength;
    if (bytes > mostBytes) {
      throw new Error(`an answer of more than ${mostBytes} bytes`);
    }
  }
  return Buffer.concat(pieces).toString();
}

async function* wholeOf(answer: FetchAnswer): AsyncGenerator<Uint8Array> {
  yield Buffer.from(await answer.text());
}

/**
 * Returns the pause before the next attempt: doubled up to a limit, with jitter, so that backends do not all ask a
 * recovered service at once.
 *
 * @param failures number of failed attempts in a row, from 1
 */
export function backoffMs(failures: number, longestMs: number, random: number): number {
  const ms = Math.min(longestMs, 100 * 2 ** Math.min(failures - 1, 16));
  return ms * (0.5 + random / 2);
}

export function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('message' in error)) {
    return String(error);
  }
  const cause = 'cause' in error && error.cause !== undefined ? `: ${reasonOf(error.cause)}` : '';
  return `${String(error.message)}${cause}`;
}
