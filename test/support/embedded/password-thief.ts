import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** AuthenticationCleartextPassword of the PostgreSQL protocol. */
const PASSWORD_REQUEST = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]);

/** Listens in place of a PostgreSQL server, asks every client for its password in clear, and keeps what it is sent. */
export class PasswordThief {
  readonly received: string[] = [];

  private constructor(private readonly server: Server) {
    server.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        this.received.push(chunk.toString('latin1'));
        socket.write(PASSWORD_REQUEST);
      });
    });
  }

  static async listen(port: number): Promise<PasswordThief> {
    const thief = new PasswordThief(createServer());
    thief.server.listen(port, '127.0.0.1');
    await once(thief.server, 'listening');
    return thief;
  }

  async close(): Promise<void> {
    this.server.close();
    await once(this.server, 'close');
  }
}
