import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Stands before instances that come and go; each request goes to the next one, so that no two in a row meet the same.
 */
export class LoadBalancer {
  /** Paths asked for so far, in order, queries included. */
  readonly asked: string[] = [];
  private turn = 0;
  private readonly server = createServer((incoming, outgoing) => {
    this.forward(incoming, outgoing);
  });

  /** @param targets base URLs; may be replaced while it runs */
  constructor(public targets: readonly string[]) {}

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  /** Whoever waits for an answer loses its connection. */
  dropConnections(): void {
    this.server.closeAllConnections();
  }

  private forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.asked.push(incoming.url ?? '');
    const target = this.targets[this.turn % Math.max(1, this.targets.length)];
    this.turn += 1;
    if (target === undefined) {
      outgoing.writeHead(503).end();
      return;
    }
    const forwarded = request(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    forwarded.on('error', () => {
      outgoing.destroy();
    });
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  }
}
