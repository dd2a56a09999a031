import { connect, createServer, type Socket } from 'node:net';
import { eventually } from './eventually.js';

/**
 * `before`: the server never sees the statement. `after`: it has carried it out and committed it, as far as it commits,
 * but its answer is lost.
 */
export type Cut = 'before' | 'after';

/** Asked once for every statement that passes; undefined lets it pass. */
export type CutJudge = (statement: string) => Cut | undefined;

/** Both halves of one connection through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Lasts from a statement's arrival here until the server is ready for the next. */
  isBusy: boolean;
}

const SSL_REQUEST_CODE = 80_877_103;

const ADMIN_SHUTDOWN = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0';

/**
 * Stands between a service and its Postgres and fails like a network: it cuts a connection at an exact point of the
 * wire protocol, refuses connections, or lets no byte pass. What a test asks the database itself goes past it.
 */
export class PostgresProxy {
  /** How many connections have been cut at a statement. */
  cuts = 0;
  /** How many have been opened through it. */
  connections = 0;
  private judge: CutJudge = () => undefined;
  private passesNotifications = true;
  private endings = 0;
  private thawed: Promise<void> = Promise.resolve();
  private thaw: () => void = () => undefined;
  private onCut: () => void = () => undefined;
  private readonly links = new Set<Link>();
  private readonly listener = createServer({ noDelay: true }, (client) => {
    this.link(client);
  });

  private port = 0;

  /** @param database may be made later, before the proxy listens */
  constructor(private readonly database: { readonly url: string }) {}

  static async start(databaseUrl: string): Promise<PostgresProxy> {
    const proxy = new PostgresProxy({ url: databaseUrl });
    await proxy.listen();
    return proxy;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.listener.once('error', reject);
      this.listener.listen(this.port, '127.0.0.1', () => {
        this.listener.off('error', reject);
        resolve();
      });
    });
    const address = this.listener.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The database as seen through the proxy. */
  get url(): string {
    const url = new URL(this.database.url);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  /** No statement is under way. */
  isQuiet(): boolean {
    return [...this.links].every((link) => !link.isBusy);
  }

  cutWhen(judge: CutJudge): void {
    this.judge = judge;
  }

  /** Cuts at the next statements that match, as many as `times`, and at none after. */
  cutNext(statement: RegExp, cut: Cut, times = 1): void {
    let left = times;
    this.judge = (text) => {
      if (left === 0 || !statement.test(text)) {
        return undefined;
      }
      left -= 1;
      return cut;
    };
  }

  /** Resolves before anybody can have noticed the cut. */
  nextCut(): Promise<void> {
    return new Promise((resolve) => {
      this.onCut = resolve;
    });
  }

  /** Ends as many new connections as a server that shuts down does it: in the packet that says that they are open. */
  endOpening(times: number): void {
    this.endings = times;
  }

  /** Answers as a transaction pooler that does not know LISTEN. */
  dropNotifications(): void {
    this.passesNotifications = false;
  }

  /** A database that is gone: open connections end, new ones are refused. */
  refuse(): void {
    this.listener.close();
    this.destroyLinks();
  }

  /** A network without a route: connections stay open, and nothing arrives any more. */
  freeze(): void {
    this.thawed = new Promise((resolve) => {
      this.thaw = resolve;
    });
  }

  /**
   * Ends `refuse` or `freeze`. What was under way when it froze arrives now, except on connections that have been
   * closed since.
   */
  async resume(): Promise<void> {
    this.thaw();
    if (!this.listener.listening) {
      await eventually(() => this.listen().then(() => true), { withinMs: 5_000 });
    }
  }

  async close(): Promise<void> {
    this.thaw();
    this.destroyLinks();
    if (this.listener.listening) {
      await new Promise((resolve) => this.listener.close(resolve));
    }
  }

  private destroyLinks(): void {
    for (const { client, server } of this.links) {
      client.destroy();
      server.destroy();
    }
  }

  private link(client: Socket): void {
    const { hostname: host, port } = new URL(this.database.url);
    const server = connect({ host, port: Number(port), noDelay: true });
    const link: Link = { client, server, isBusy: false };
    this.connections += 1;
    this.links.add(link);
    const destroy = (): void => {
      client.destroy();
      server.destroy();
      this.links.delete(link);
    };
    for (const socket of [client, server]) {
      // A 'close' follows every error.
      socket.on('error', () => undefined);
      socket.on('close', destroy);
    }

    const cut = (): void => {
      this.cuts += 1;
      destroy();
      this.onCut();
    };

    const statements = new Map<string, string>();
    let cutAfter = false;
    let isCompleted = false;
    let isOpen = false;
    const fromClient = new MessageReader('untyped first', (message) => {
      const statement = statementOf(message, statements);
      link.isBusy ||= statement !== undefined;
      const verdict = statement === undefined ? undefined : this.judge(statement);
      if (verdict === 'before') {
        cut();
      } else {
        cutAfter ||= verdict === 'after';
        server.write(message.bytes);
      }
    });
    const fromServer = new MessageReader('typed', (message) => {
      if (message.type === 'Z' && !isOpen && this.endings > 0) {
        this.endings -= 1;
        client.end(Buffer.concat([message.bytes, errorResponse(ADMIN_SHUTDOWN)]), () => server.destroy());
        return;
      }
      isOpen ||= message.type === 'Z';
      isCompleted ||= message.type === 'C';
      // In the extended protocol an autocommit statement commits at Sync, so only ReadyForQuery says that it has.
      if (cutAfter && message.type === 'Z') {
        if (isCompleted) {
          cut();
          return;
        }
        cutAfter = false;
      }
      if (message.type === 'Z') {
        isCompleted = false;
        link.isBusy = false;
      }
      // The answer that is going to be lost is lost whole.
      if (!cutAfter && (message.type !== 'A' || this.passesNotifications)) {
        client.write(message.bytes);
      }
    });
    this.pump(client, fromClient);
    this.pump(server, fromServer);
  }

  /** Reads on while frozen, so that it notices when a side has gone; what it read of a closed side is dropped. */
  private pump(from: Socket, reader: MessageReader): void {
    let previous: Promise<void> = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      const thawed = this.thawed;
      previous = previous
        .then(() => thawed)
        .then(() => {
          if (!from.destroyed) {
            reader.read(chunk);
          }
        });
    });
  }
}

interface Message {
  /** One character; none for the messages that open a connection. */
  readonly type: string;
  /** Header included. */
  readonly bytes: Buffer;
  readonly payload: Buffer;
}

/** Puts the messages of PostgreSQL's frontend/backend protocol together again from chunks of a stream. */
class MessageReader {
  private rest: Buffer = Buffer.alloc(0);

  constructor(
    private framing: 'untyped first' | 'typed',
    private readonly onMessage: (message: Message) => void,
  ) {}

  read(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk]);
    for (let message = this.take(); message !== undefined; message = this.take()) {
      this.onMessage(message);
    }
  }

  private take(): Message | undefined {
    const typeBytes = this.framing === 'typed' ? 1 : 0;
    if (this.rest.length < typeBytes + 4) {
      return undefined;
    }
    const length = typeBytes + this.rest.readInt32BE(typeBytes);
    if (this.rest.length < length) {
      return undefined;
    }
    const bytes = this.rest.subarray(0, length);
    this.rest = this.rest.subarray(length);
    const payload = bytes.subarray(typeBytes + 4);
    if (this.framing === 'typed') {
      return { type: bytes.toString('latin1', 0, 1), bytes, payload };
    }
    if (payload.readInt32BE(0) === SSL_REQUEST_CODE) {
      throw new Error('the proxy cannot read an encrypted connection');
    }
    this.framing = 'typed';
    return { type: '', bytes, payload };
  }
}

function errorResponse(fields: string): Buffer {
  const header = Buffer.from('E....');
  header.writeInt32BE(4 + fields.length, 1);
  return Buffer.concat([header, Buffer.from(fields)]);
}

/**
 * The text of a statement that is about to be carried out: of a simple query, or of the prepared one that is being
 * bound.
 *
 * @param prepared the connection's statements by name, which Parse adds to
 */
function statementOf({ type, payload }: Message, prepared: Map<string, string>): string | undefined {
  const [first = '', second = ''] = payload.toString('utf8').split('\0', 2);
  switch (type) {
    case 'Q':
      return first;
    case 'P':
      prepared.set(first, second);
      return undefined;
    case 'B':
      return prepared.get(second);
    default:
      return undefined;
  }
}
