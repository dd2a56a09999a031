import { request } from 'node:http';
import { TEST_HEADER } from './contract.js';
import { RatchetTestError } from './errors.js';

/**
 * Sends JSON and reads the JSON of a successful answer. By `node:http` and not `fetch`, which test environments leave out or
 * replace.
 *
 * @returns undefined for an answer without a body
 * @throws RatchetTestError for every other answer, and for none
 */
export async function callJson(method: string, url: string, body?: unknown): Promise<unknown> {
  const { status, headers, text } = await send(method, url, body === undefined ? undefined : JSON.stringify(body));
  if (headers[TEST_HEADER] !== '1') {
    throw new RatchetTestError(
      `${method} ${url} was answered ${status}, and not by Ratchet's test kit. Is another program on that port?`,
      { code: 'not_a_runner', status },
    );
  }
  const answer = text === '' ? undefined : (JSON.parse(text) as unknown);
  if (status >= 400) {
    throw problemError(`${method} ${url}`, status, answer);
  }
  return answer;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

async function send(method: string, url: string, body: string | undefined): Promise<Answer> {
  const headers = { [TEST_HEADER]: '1', ...(body !== undefined && { 'content-type': 'application/json' }) };
  return new Promise((resolve, reject) => {
    // A connection of its own: one that is kept could outlive the runner.
    const call = request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.once('error', fail).once('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    call.once('error', fail).end(body);

    function fail(cause: Error): void {
      reject(noAnswerError(`${method} ${url}`, cause));
    }
  });
}

/** A connection that breaks is what a fault does, one that is not made is a runner that is not there. */
function noAnswerError(what: string, cause: Error): RatchetTestError {
  const isCut = 'code' in cause && cause.code === 'ECONNRESET';
  const hint = isCut
    ? 'A fault with cut does this, and so does the end of the runner.'
    : 'Is the runner up? startRatchet() or ratchet-test starts one.';
  return new RatchetTestError(
    `${what} got no answer: ${cause.message}. ${hint}`,
    { code: isCut ? 'connection_cut' : 'unreachable', detail: cause.message },
    { cause },
  );
}

/** The sentences of the service are constant, and what is wrong stands in `errors`; the runner's have it all. */
function problemError(what: string, status: number, answer: unknown): RatchetTestError {
  const { code = 'unknown', detail = 'no detail', errors, ticket } = (answer ?? {}) as Readonly<Record<string, string>>;
  const fields = (Array.isArray(errors) ? errors : []) as readonly {
    readonly field: string;
    readonly message: string;
  }[];
  const told = [
    detail,
    ...fields.filter(({ message }) => !detail.includes(message)).map(({ field, message }) => `${field} ${message}`),
  ].join(' ');
  return new RatchetTestError(`${what}: ${status} ${code}. ${told}`, {
    code,
    status,
    detail: told,
    ...(ticket !== undefined && { ticket }),
  });
}
