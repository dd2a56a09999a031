import type { ServerResponse } from 'node:http';

export interface FieldError {
  /** Dotted path of the member; empty for the body itself. */
  readonly field: string;
  readonly message: string;
}

/** What a caller of `/test` has done wrong. The message says what to do instead. */
export class TestProblem extends Error {
  override readonly name = 'TestProblem';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly more: {
      readonly errors?: readonly FieldError[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
  }
}

export function validationFailed(errors: readonly FieldError[]): TestProblem {
  const sentences = errors.map(({ field, message }) => `${field === '' ? 'the body' : field} ${message}`);
  return new TestProblem(400, 'validation_failed', `${sentences.join('; ')}.`, { errors });
}

/** Writes a problem (RFC 9457) in the form that the service's own have. */
export function writeProblem(response: ServerResponse, { status, code, message, more }: TestProblem): void {
  const title = code.replaceAll('_', ' ');
  writeJson(
    response,
    status,
    {
      type: `urn:ratchet:problem:${code}`,
      title: title.charAt(0).toUpperCase() + title.slice(1),
      status,
      detail: message,
      code,
      ...(more.errors !== undefined && { errors: more.errors }),
    },
    { 'content-type': 'application/problem+json', ...more.headers },
  );
}

/** @param body undefined for an answer without one */
export function writeJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) {
    return;
  }
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': bytes.length }),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(bytes);
}
