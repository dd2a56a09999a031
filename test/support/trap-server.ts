import { createServer, type Server } from 'node:net';
import { once } from 'node:events';

/** Listens on loopback for connections that nobody should make, and hangs up on each. */
export class TrapServer {
  /** How many connections there have been. */
  visits = 0;

  private constructor(private readonly listener: Server) {
    listener.on('connection', (socket) => {
      this.visits += 1;
      socket.destroy();
    });
  }

  static async start(): Promise<TrapServer> {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new TrapServer(listener);
  }

  get url(): string {
    const address = this.listener.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async close(): Promise<void> {
    this.listener.close();
    await once(this.listener, 'close');
  }
}
