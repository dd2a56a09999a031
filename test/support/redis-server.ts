import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

/** Debian's `redis-server`, or any other on the path; `.ci/run` installs it. */
export const isRedisInstalled = spawnSync('redis-server', ['--version']).status === 0;

/** An address that leads to one Redis after the other, and leaves open connections where they are. */
export class RedisAddress {
  private constructor(private readonly server: Server) {}

  /** @param target is asked at each connection */
  static async listen(target: () => RedisServer): Promise<RedisAddress> {
    const server = createServer((client) => {
      const upstream = connect(Number(new URL(target().url).port), '127.0.0.1');
      client.pipe(upstream).pipe(client);
      client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
      upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new RedisAddress(server);
  }

  get url(): string {
    const address = this.server.address();
    return `redis://127.0.0.1:${typeof address === 'object' ? String(address?.port) : ''}`;
  }

  close(): void {
    this.server.close();
  }
}

/** A Redis of one's own on loopback, in memory only. */
export class RedisServer {
  private process: ChildProcess | undefined;

  private constructor(private readonly port: number) {}

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Again on the same port after a `stop`; what was in it is gone. */
  async start(): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    this.process = spawn('redis-server', [...settings, '--dir', tmpdir()], { stdio: 'ignore' });
    await eventually(() => this.accepts(), { withinMs: 10_000 });
  }

  /** It keeps its connections and answers nothing, until `thaw`. */
  freeze(): void {
    this.process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.process?.kill('SIGCONT');
  }

  /** It becomes a replica of a server that does not answer, as an old primary does after a failover. */
  async demote(): Promise<void> {
    const socket = connect(this.port, '127.0.0.1');
    socket.write('replicaof 127.0.0.1 1\r\n');
    await once(socket, 'data');
    socket.destroy();
  }

  async stop(): Promise<void> {
    const process = this.process;
    this.process = undefined;
    if (process !== undefined) {
      const exit = once(process, 'exit');
      process.kill('SIGKILL');
      await exit;
    }
  }

  private accepts(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
  }
}
