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
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The http URL of the program that answers, or the answer. */
export type Answering = string | Page;

export interface TlsFront {
  readonly url: string;
  readonly port: number;
  /** Every request with its headers as they stood on the wire, since the array was last emptied. Without bodies. */
  readonly received: Omit<ReceivedRequest, 'body'>[];
  stop(): Promise<void>;
}

/**
 * What terminates TLS in front of a service or a gateway, for programs that speak https only. It hands requests, answers and
 * WebSocket handshakes on as they are. Its certificate is one that no client knows.
 *
 * @param answering decides for each request, by the name of the host without a port, and by the target
 */
export async function startTlsFront(answering: (host: string, target: string) => Answering): Promise<TlsFront> {
  const received: TlsFront['received'] = [];
  const decide = ({ method = '', url = '/', rawHeaders, headers: { host = '' } }: IncomingMessage): Answering => {
    received.push({ method, url, rawHeaders });
    return answering(host.replace(/:\d+$/, ''), url);
  };
  const server = createServer(await makeCertificate(), (request, response) => {
    const decision = decide(request);
    if (typeof decision === 'string') {
      handOn(request, response, decision);
    } else {
      response.writeHead(decision.status ?? 200, { 'content-type': 'text/html', ...decision.headers });
      response.end(decision.body ?? '<!doctype html><title>page</title>');
    }
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const decision = decide(request);
    if (typeof decision === 'string') {
      handOnUpgrade(request, { socket, head }, decision);
    } else {
      socket.end(`HTTP/1.1 ${decision.status ?? 200} Answer\r\nConnection: close\r\n\r\n`);
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

function handOn(request: IncomingMessage, response: ServerResponse, upstream: string): void {
  const { hostname, port } = new URL(upstream);
  const asked = askUpstream(
    { hostname, port, method: request.method, path: request.url, headers: request.rawHeaders },
    (answer) => {
      const headers = Object.entries(answer.headersDistinct).filter(([name]) => !HOP_BY_HOP.includes(name));
      response.writeHead(answer.statusCode ?? 502, Object.fromEntries(headers));
      answer.on('error', () => response.destroy());
      answer.pipe(response);
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

/** A handshake may be refused, so that what comes back is not read. */
function handOnUpgrade(
  { method, url, rawHeaders }: IncomingMessage,
  { socket, head }: { readonly socket: Duplex; readonly head: Buffer },
  upstream: string,
): void {
  const { hostname, port } = new URL(upstream);
  const lines = rawHeaders.map((part, index) => (index % 2 === 0 ? `${part}: ` : `${part}\r\n`));
  const asked = connect(Number(port), hostname);
  asked.write(`${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`);
  asked.write(head);
  socket.on('error', () => asked.destroy()).pipe(asked);
  asked.on('error', () => socket.destroy()).pipe(socket);
}
