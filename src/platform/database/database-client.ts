import { Client, type ClientConfig } from 'pg';

/**
 * The one class of connections, in the pool and outside it. It always listens for errors: the server can end a
 * connection at any moment, also in the packet that opens it, and an error without a listener would end the process.
 * The statement in flight, or the next one, fails with it.
 */
export class DatabaseClient extends Client {
  constructor(config?: ClientConfig | string) {
    super(config);
    this.on('error', () => undefined);
  }
}
