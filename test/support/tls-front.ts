import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request as askUpstream, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { ReceivedRequest } from './echo-backend.js';
import { makeScratchFolder } from './gateway-process.js';

/** What the front answers itself. */
export interface Page {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
}

/** Lets a program answer, and keeps the answer back. */
export interface HeldBack {
  readonly upstream: string;
  /** Called when the answer has come. It goes on when the promise is fulfilled; when it is rejected, the connection is cut. */
  readonly until: () => Promise<unknown>;
}

/** The http URL of the program that answers, or the answer. */
export type Answering = string | HeldBack | Page;

export interface FrontRequest extends Omit<ReceivedRequest, 'body'> {
  /** The host that the client named, without a port. */
  readonly host: string;
  /** The status of the answer, once it is under way. */
  status: number | undefined;
}

export interface TlsFront {
  readonly url: string;
  readonly port: number;
  /** Every request since the array was last emptied. */
  readonly received: FrontRequest[];
  stop(): Promise<void>;
}

/**
 * What terminates TLS in front of a service or a gateway, for programs that speak https only. It hands requests, answers and
 * WebSocket handshakes on as they are. Its certificate is one that no client knows.
 *
 * @param answering decides for each request, by the name of the host without a port, the target and the method
 */
export async function startTlsFront(
  answering: (host: string, target: string, method: string) => Answering,
): Promise<TlsFront> {
  const received: TlsFront['received'] = [];
  const record = ({ method = '', url = '/', rawHeaders, headers }: IncomingMessage): FrontRequest => {
    const host = (headers.host ?? '').replace(/:\d+$/, '');
    const entry = { host, method, url, rawHeaders, status: undefined };
    received.push(entry);
    return entry;
  };
  const server = createServer(await makeCertificate(), (request, response) => {
    const entry = record(request);
    const decision = answering(entry.host, entry.url, entry.method);
    response.on('close', () => {
      entry.status = response.headersSent ? response.statusCode : undefined;
    });
    if (typeof decision === 'string') {
      handOn(request, response, { upstream: decision, until: () => Promise.resolve() });
    } else if ('upstream' in decision) {
      handOn(request, response, decision);
    } else {
      response.writeHead(decision.status ?? 200, { 'content-type': 'text/html', ...decision.headers });
      response.end(decision.body ?? '<!doctype html><title>page</title>');
    }
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const entry = record(request);
    const decision = answering(entry.host, entry.url, entry.method);
    if (typeof decision === 'string') {
      handOnUpgrade(request, { socket, head }, { upstream: decision, entry });
    } else {
      socket.destroy();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    received,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function makeCertificate(): Promise<{ readonly key: Buffer; readonly cert: Buffer }> {
  const folder = await makeScratchFolder('tls-front');
  const [keyPath, certificatePath] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const what = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2', '-subj', '/CN=127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-nodes', ...what, '-keyout', keyPath, '-out', certificatePath], {
    stdio: 'ignore',
  });
  return { key: await readFile(keyPath), cert: await readFile(certificatePath) };
}

const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding'];

function handOn(request: IncomingMessage, response: ServerResponse, { upstream, until }: HeldBack): void {
  const { hostname, port } = new URL(upstream);
  const asked = askUpstream(
    { hostname, port, method: request.method, path: request.url, headers: request.rawHeaders },
    (answer) => {
      answer.on('error', () => response.destroy());
      const headers = Object.entries(answer.headersDistinct).filter(([name]) => !HOP_BY_HOP.includes(name));
      until().then(
        () => {
          response.writeHead(answer.statusCode ?? 502, Object.fromEntries(headers));
          answer.pipe(response);
        },
        () => response.destroy(),
      );
    },
  );
  asked.on('error', () => {
    if (response.headersSent) {
      response.destroy();
    } else {
      response.writeHead(502).end();
    }
  });
  response.on('close', () => asked.destroy());
  request.pipe(asked);
}

/** The answer goes back as it came, whether it accepts the handshake or refuses it. */
function handOnUpgrade(
  { method, url, rawHeaders }: IncomingMessage,
  { socket, head }: { readonly socket: Duplex; readonly head: Buffer },
  { upstream, entry }: { readonly upstream: string; readonly entry: FrontRequest },
): void {
  const { hostname, port } = new URL(upstream);
  const lines = rawHeaders.map((part, index) => (index % 2 === 0 ? `${part}: ` : `${part}\r\n`));
  const asked = connect(Number(port), hostname);
  asked.write(`${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`);
  asked.write(head);
  asked.once('data', (start: Buffer) => {
    entry.status = Number(start.subarray(9, 12));
  });
  socket.on('error', () => asked.destroy()).pipe(asked);
  asked.on('error', () => socket.destroy()).pipe(socket);
}
