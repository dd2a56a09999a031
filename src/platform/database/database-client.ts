import { Client, type ClientConfig } from 'pg';
import { ReadOnlySessionError } from './database.errors.js';

/** What the server reports of a session when it begins, and whenever it changes; PostgreSQL 14 and later. */
const READ_ONLY_PARAMETERS = ['in_hot_standby', 'default_transaction_read_only'];

/**
 * The one class of connections, in the pool and outside it. It always listens for errors: the server can end a
 * connection at any moment, also in the packet that opens it, and an error without a listener would end the process.
 * The statement in flight, or the next one, fails with it.
 */
export class DatabaseClient extends Client {
  private readonly isOn = new Map<string, boolean>();

  constructor(config?: ClientConfig | string) {
    super(config);
    this.on('error', () => undefined);
    this.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      this.isOn.set(parameterName, parameterValue === 'on');
    });
  }

  /**
   * Closes the connection at once, in any state; what waits for it fails. `end` waits for the server, which may have gone,
   * and leaves a `connect` that is under way without an answer for ever.
   */
  destroy(): void {
    this.connection.stream.destroy();
  }

  /**
   * Costs no query. Not for connections through a transaction pooler, which may report a server of the past.
   *
   * @throws ReadOnlySessionError on a standby, or while transactions are read-only by default
   */
  requireWritable(): void {
    if (READ_ONLY_PARAMETERS.some((name) => this.isOn.get(name) === true)) {
      throw new ReadOnlySessionError();
    }
  }
}

interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}
