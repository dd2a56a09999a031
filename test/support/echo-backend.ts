import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  /** What stood on the request line. */
  readonly url: string;
  /** Name and value by turns, as they stood on the wire. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** A backend that trusts its gateway: it answers everything and remembers what it was asked. */
export class EchoBackend {
  /** Since the array was last emptied. */
  readonly received: ReceivedRequest[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<EchoBackend> {
    const server = createServer();
    const backend = new EchoBackend(server);
    server.on('request', (request, response) => {
      const { method = '', url = '', rawHeaders } = request;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        backend.received.push({ method, url, rawHeaders, body: Buffer.concat(chunks).toString() });
        response.statusCode = url.startsWith('/answers-401') ? 401 : 200;
        response.setHeader('x-backend', 'orders');
        response.end(`${method} seen`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return backend;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }
}

/**
 * The values of a header, however its name is spelt: servers that speak CGI or WSGI read all these spellings as one.
 */
export function valuesOf({ rawHeaders }: ReceivedRequest, name: string): string[] {
  return rawHeaders.filter((_value, index) => index % 2 === 1 && canonical(rawHeaders[index - 1]!) === name);
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/[_.]/g, '-');
}
