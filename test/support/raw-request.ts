import { type IncomingHttpHeaders, request } from 'node:http';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined when the answer is not JSON. */
  readonly body: { readonly code?: string } | undefined;
}

/** Sends what supertest would not: any method, any bytes, a header twice. */
export function sendRaw(
  url: string,
  {
    method = 'GET',
    path,
    headers = [],
    body,
    hasOwnConnection = false,
  }: {
    readonly method?: string;
    readonly path: string;
    readonly headers?: readonly (readonly [name: string, value: string])[];
    readonly body?: string | Buffer;
    /** Else a connection is used again that the server may be about to close. */
    readonly hasOwnConnection?: boolean;
  },
): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(url);
  // Node adds neither of these to a list of raw headers.
  const length = method === 'GET' || method === 'HEAD' ? [] : ['content-length', String(Buffer.byteLength(body ?? ''))];
  const rawHeaders = ['host', host, ...length, ...headers.flat()];
  return new Promise((resolve, reject) => {
    request(
      { hostname, port, method, path, headers: rawHeaders, ...(hasOwnConnection && { agent: false }) },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== '';
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            body: isJson ? (JSON.parse(text) as { code?: string }) : undefined,
          });
        });
      },
    )
      .on('error', reject)
      .end(body);
  });
}
