import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.js';
import { TestClient } from './test-client.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** A first start unpacks and initializes a PostgreSQL on a machine that runs other tests at the same time. */
const LONGEST_START_MS = 30_000;
const LONGEST_STOP_MS = 40_000;

/** The service as an operator runs it: the compiled program in a process of its own, which can be killed. */
export class ServiceProcess {
  /** What it has written to standard error. */
  errorOutput = '';
  /** What it has logged, parsed. */
  readonly lines: Record<string, unknown>[] = [];
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  private readonly closed: Promise<unknown>;

  /** @param environment all variables, except those that any program needs */
  constructor(environment: Readonly<Record<string, string>>) {
    const { PATH = '', HOME = '' } = process.env;
    this.child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, HOME, NODE_ENV: 'test', RATE_LIMITS: 'off', PORT: '0', ...environment },
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Record<string, unknown>);
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errorOutput += text;
    });
    this.closed = once(this.child, 'close');
  }

  /** Resolves when it listens; its output is the message of the failure if it ends before that. */
  async listening(): Promise<TestClient> {
    await eventually(() => this.hasLogged('listening') || this.child.exitCode !== null, { withinMs: LONGEST_START_MS });
    const url = this.lines.find((line) => line['event'] === 'listening')?.['url'];
    if (typeof url !== 'string') {
      throw new Error(`the service has ended with ${String(this.child.exitCode)}: ${this.errorOutput}`);
    }
    return new TestClient(url);
  }

  hasLogged(event: string): boolean {
    return this.logged(event).length > 0;
  }

  logged(event: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line['event'] === event);
  }

  /** Leaves its log unread, as a collector does that hangs. */
  stopReading(): void {
    this.child.stdout.pause();
  }

  readAgain(): void {
    this.child.stdout.resume();
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves when it has ended and all its output has been read. */
  async ended(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    await Promise.race([this.closed, eventually(() => this.hasEnded, { withinMs: LONGEST_STOP_MS })]);
    await this.closed;
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.closed;
  }
}
