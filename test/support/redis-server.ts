import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

/** Debian's `redis-server`, or any other on the path; `.ci/run` installs it. */
export const isRedisInstalled = spawnSync('redis-server', ['--version']).status === 0;

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
