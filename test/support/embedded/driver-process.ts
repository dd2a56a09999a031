import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

export interface DriverOptions {
  readonly dataDir: string;
  readonly whenInUse?: 'fail' | 'join';
  readonly serverSettings?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly tmpDir?: string;
}

export type DriverMessage =
  | { readonly event: 'progress'; readonly line: string }
  | { readonly event: 'ready'; readonly url: string; readonly superuserUrl: string; readonly ms: number }
  | { readonly event: 'rows'; readonly rows: readonly Record<string, unknown>[] }
  | { readonly event: 'stopped' }
  | { readonly event: 'failed'; readonly name: string; readonly message: string };

type Message<E extends DriverMessage['event']> = Extract<DriverMessage, { event: E }>;

/** A driver under a test's control. Each `expect…` waits for the next message of that kind, and fails on a failure. */
export class DriverProcess {
  readonly progress: string[] = [];
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly lines: AsyncIterator<string>;
  private readonly exited: Promise<unknown>;
  private readiness: Promise<Message<'ready'>> | undefined;

  constructor(program: string, options: DriverOptions) {
    this.child = spawn(
      process.execPath,
      [program, options.dataDir, options.whenInUse ?? 'fail', JSON.stringify(options.serverSettings ?? {})],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        cwd: '/',
        env: { ...process.env, ...(options.tmpDir === undefined ? {} : { TMPDIR: options.tmpDir }) },
        ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
      },
    );
    const reader: Interface = createInterface({ input: this.child.stdout });
    this.lines = reader[Symbol.asyncIterator]();
    this.exited = new Promise((resolve) => this.child.once('exit', resolve));
  }

  async ready(): Promise<Message<'ready'>> {
    return (this.readiness ??= this.expect('ready'));
  }

  async failure(): Promise<Message<'failed'>> {
    const message = await this.expect('failed');
    await this.exited;
    return message;
  }

  async query(sql: string): Promise<readonly Record<string, unknown>[]> {
    this.child.stdin.write(`${sql}\n`);
    return (await this.expect('rows')).rows;
  }

  /** Resolves when a progress line contains `text`. */
  async progressLine(text: string): Promise<void> {
    while (!this.progress.some((line) => line.includes(text))) {
      const message = await this.next();
      if (message.event !== 'progress') {
        throw new Error(`expected progress, got ${JSON.stringify(message)}`);
      }
    }
  }

  async stop(): Promise<void> {
    this.child.stdin.end('stop\n');
    await this.expect('stopped');
    await this.exited;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private async expect<E extends DriverMessage['event']>(event: E): Promise<Message<E>> {
    for (;;) {
      const message = await this.next();
      if (isOf(message, event)) {
        return message;
      }
      if (message.event !== 'progress') {
        throw new Error(`expected ${event}, got ${JSON.stringify(message)}`);
      }
    }
  }

  private async next(): Promise<DriverMessage> {
    const line = await this.lines.next();
    if (line.done === true) {
      throw new Error('the driver has ended');
    }
    const message = JSON.parse(line.value) as DriverMessage;
    if (message.event === 'progress') {
      this.progress.push(message.line);
    }
    return message;
  }
}

function isOf<E extends DriverMessage['event']>(message: DriverMessage, event: E): message is Message<E> {
  return message.event === event;
}
