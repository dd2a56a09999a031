import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';

const CLIENT = new URL('../../packages/client/dist/', import.meta.url);

/** A page that has the client, as one without a bundler loads it. Its host says the mode. */
const PAGE = `<!doctype html><title>A page</title><script type="module">
  import { createClient } from '/client/index.js';
  window.createClient = createClient;
  window.client = createClient({ baseUrl: '/', mode: location.hostname === 'localhost' ? 'cookie' : 'token' });
</script>`;

const CORS = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' };

/**
 * Serves a page and, on the same origin, the service. It loses answers to refreshes after the service has given them: half
 * of them whole, and half of them after their headers, so that a cookie is stored and the body is not.
 */
export class LossyProxy {
  /** The share of answers to refreshes that is lost. */
  loss = 0;
  /** Without one, connections are cut. */
  target: string | undefined;
  /** What `expires_in` of every answer becomes. */
  expiresIn: number | undefined;
  /** Answers to refreshes are held back until it resolves. */
  held: Promise<void> | undefined;
  refreshes = 0;
  lost = 0;
  readonly keys: string[] = [];
  /** The `Authorization` of each request to `/elsewhere`. */
  readonly elsewhere: (string | undefined)[] = [];
  private readonly server: Server = createServer((incoming, outgoing) => {
    this.answer(incoming, outgoing).catch(() => outgoing.destroy());
  });

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async close(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  private async answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { pathname } = new URL(incoming.url ?? '/', 'http://proxy');
    if (pathname === '/') {
      outgoing.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    } else if (pathname.startsWith('/client/')) {
      const file = await readFile(new URL(basename(pathname), CLIENT));
      outgoing.writeHead(200, { 'content-type': 'text/javascript' }).end(file);
    } else if (pathname === '/redirect') {
      outgoing.writeHead(302, { ...CORS, location: 'http://other.test/elsewhere' }).end();
    } else if (pathname === '/elsewhere') {
      if (incoming.method === 'GET') {
        this.elsewhere.push(incoming.headers.authorization);
      }
      outgoing.writeHead(204, CORS).end();
    } else if (pathname.startsWith('/auth/')) {
      await this.forward(incoming, outgoing, pathname === '/auth/refresh');
    } else {
      outgoing.writeHead(204).end();
    }
  }

  private async forward(incoming: IncomingMessage, outgoing: ServerResponse, isRefresh: boolean): Promise<void> {
    if (this.target === undefined) {
      throw new Error('no service');
    }
    const { method, headers, url } = incoming;
    const forwarded = request(new URL(url ?? '/', this.target), { method: method ?? 'GET', headers, agent: false });
    incoming.pipe(forwarded);
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) {
      chunks.push(chunk as Buffer);
    }
    let text = Buffer.concat(chunks).toString();
    if (this.expiresIn !== undefined) {
      text = text.replace(/"expires_in":\d+/, `"expires_in":${this.expiresIn}`);
    }
    if (isRefresh) {
      this.refreshes += 1;
      this.keys.push(String(headers['idempotency-key']));
      await this.held;
    }
    const kept = { ...answer.headers };
    delete kept.connection;
    delete kept['transfer-encoding'];
    if (isRefresh && Math.random() < this.loss) {
      this.lost += 1;
      if (this.lost % 2 === 0) {
        outgoing.writeHead(answer.statusCode ?? 502, { ...kept, 'content-length': text.length });
        outgoing.write(text.slice(0, 20), () => outgoing.destroy());
      } else {
        outgoing.destroy();
      }
      return;
    }
    const length = answer.statusCode === 204 ? {} : { 'content-length': Buffer.byteLength(text) };
    outgoing.writeHead(answer.statusCode ?? 502, { ...kept, ...length }).end(text);
  }
}
