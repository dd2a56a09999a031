import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import type { ReadyLine } from '../../packages/testing/src/contract.js';
import { eventually } from './eventually.js';
import { testRun } from './test-run.js';

export const RUNNER = fileURLToPath(new URL('../../packages/testing/dist/runner/main.mjs', import.meta.url));

const LONGEST_START_MS = 30_000;
const LONGEST_STOP_MS = 15_000;

export interface KitAnswer<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** The runner of the test kit as its client starts it: a process of its own, which can be killed. */
export class RunnerProcess {
  output = '';
  errorOutput = '';
  private line: ReadyLine | undefined;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly closed: Promise<unknown>;

  /** @param environment in addition to that of this process */
  constructor(args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [RUNNER, '--port', '0', '--parent-pipe', ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, TEST_DATABASE_URL: '', ...environment },
    });
    this.child.stdin.on('error', () => undefined);
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.output += `${line}\n`;
      this.line ??= JSON.parse(line) as ReadyLine;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errorOutput += text;
    });
    this.closed = once(this.child, 'close');
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** @throws Error with its output if it ends before that */
  async ready(): Promise<ReadyLine> {
    await eventually(() => this.line !== undefined || this.hasEnded, { withinMs: LONGEST_START_MS });
    if (this.line === undefined) {
      throw new Error(`the runner has ended with ${String(this.child.exitCode)}: ${this.errorOutput}`);
    }
    return this.line;
  }

  get facts(): ReadyLine {
    if (this.line === undefined) {
      throw new Error('the runner is not ready');
    }
    return this.line;
  }

  /** A request below `/test` as the kit's clients send it. */
  async call<Body = unknown>(method: string, path: string, body?: unknown): Promise<KitAnswer<Body>> {
    const answer = await fetch(`${this.facts.test_url}${path}`, {
      method,
      headers: { 'x-ratchet-test': '1' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: (text === '' ? undefined : JSON.parse(text)) as Body,
    };
  }

  /** The same, for one that has to succeed. */
  async must<Body = unknown>(method: string, path: string, body?: unknown): Promise<Body> {
    const answer = await this.call<Body>(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Closes all pipes, as the end of its parent does. */
  leave(): void {
    this.child.stdin.destroy();
    this.child.stdout.destroy();
    this.child.stderr.destroy();
  }

  async ended(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    await Promise.race([this.closed, eventually(() => this.hasEnded, { withinMs: LONGEST_STOP_MS })]);
    await this.closed;
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }

  async stop(): Promise<void> {
    this.child.stdin.end();
    await this.ended();
  }
}

/** One runner for the enclosing `describe`, on the PostgreSQL of the whole run. */
export function useRunner(args: readonly string[] = []): { readonly runner: RunnerProcess } {
  const used: { runner?: RunnerProcess } = {};
  beforeAll(async () => {
    used.runner = new RunnerProcess(args, { TEST_DATABASE_URL: testRun().serverUrl });
    await used.runner.ready();
  });
  afterAll(() => used.runner?.stop());
  return {
    get runner() {
      if (used.runner === undefined) {
        throw new Error('the runner exists in hooks and tests only, not while they are declared');
      }
      return used.runner;
    },
  };
}
