import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { ReceivedRequest } from './echo-backend.js';
import type { HeaderLines } from './gateway-cases.js';
import { exchange } from './raw-exchange.js';

const CONNECTIONS = 16;

export interface RawRequest {
  readonly target: string;
  readonly headers: HeaderLines;
}

export interface RawOutcome extends RawRequest {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly answer: string;
  /** Undefined when the request did not reach the backend. */
  readonly received: ReceivedRequest | undefined;
}

/** A backend that accepts any request line, as some servers do where Node's answers 400. Reads no bodies. */
export class RawBackend {
  private readonly receivedAs = new Map<string, ReceivedRequest>();

  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<RawBackend> {
    const server = createServer();
    const backend = new RawBackend(server);
    server.on('connection', (socket) => {
      backend.sockets.add(socket);
      socket.on('close', () => backend.sockets.delete(socket));
      backend.answer(socket);
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
    this.sockets.forEach((socket) => socket.destroy());
    await once(this.server, 'close');
  }

  /** Sends each request through the gateway, on a connection of its own, as the bytes that it is made of. */
  async askThrough(url: string, requests: readonly RawRequest[]): Promise<RawOutcome[]> {
    const { host } = new URL(url);
    const outcomes: RawOutcome[] = [];
    const left = requests.entries();
    this.receivedAs.clear();
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        for (const [index, request] of left) {
          const lines = [['Host', host], ['X-Case', String(index)], ['Connection', 'close'], ...request.headers];
          const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
          const answer = await exchange(url, `GET ${request.target} HTTP/1.1\r\n${head}\r\n`);
          const status = Number(/^HTTP\/\S+ (\d{3})/.exec(answer)?.[1] ?? 0);
          outcomes[index] = { ...request, status, answer, received: this.receivedAs.get(String(index)) };
        }
      }),
    );
    return outcomes;
  }

  private answer(socket: Socket): void {
    let unread = '';
    socket.setEncoding('latin1').on('error', () => undefined);
    socket.on('data', (chunk: string) => {
      unread += chunk;
      for (let end = unread.indexOf('\r\n\r\n'); end !== -1; end = unread.indexOf('\r\n\r\n')) {
        this.remember(unread.slice(0, end));
        unread = unread.slice(end + 4);
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Backend: orders\r\n\r\n');
      }
    });
  }

  private remember(head: string): void {
    const [line = '', ...fields] = head.split('\r\n');
    const [, method = '', url = ''] = /^(\S+) ([^]*) HTTP\/\S+$/.exec(line) ?? [];
    const rawHeaders = fields.flatMap((field) => /^([^:]+): *([^]*)$/.exec(field)?.slice(1) ?? []);
    const index = rawHeaders.findIndex((name) => name.toLowerCase() === 'x-case');
    this.receivedAs.set(rawHeaders[index + 1] ?? '', { method, url, rawHeaders, body: '' });
  }
}
